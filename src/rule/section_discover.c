/* SPDX-License-Identifier: BSD-3-Clause */

/* The section [Discover] */

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "../util/text.h"
#include "match.h"
#include "section.h"

#define SCAN_INTERVAL_MIN_MS 100U
#define SCAN_INTERVAL_MAX_MS (60U * 60 * 1000)

void section_discover_enter(struct parser *parser)
{
	struct rule_discover *discover = &parser->rule.discover;

	if (discover->present)
		return;
	discover->present = true;
	discover->scan_interval_ms = RULE_SCAN_INTERVAL_MS;
	parser->discover_line = parser->line;
}

static void add_socket(struct parser *parser, const char *word)
{
	struct rule_discover *discover = &parser->rule.discover;
	struct rule_match socket = {.line = parser->line};
	struct refusal why;

	if (rule_match_parse(word, &socket, &why)) {
		parser_complain(parser, "%s", why.text);
	} else if (socket.first != socket.last) {
		parser_complain(parser, "'%s': a socket has one port; write one word for each port", word);
	} else if (discover->n_sockets == RULE_WORDS_MAX) {
		parser_complain(
			parser, "Socket= has more than %u values; use shorter prefixes", RULE_WORDS_MAX);
		parser->stop = true;
	} else {
		parser->error = ARRAY_RESERVE(discover->sockets, discover->n_sockets);
		if (!parser->error)
			discover->sockets[discover->n_sockets++] = socket;
	}
}

void section_discover_sockets(struct parser *parser, const struct key *key, char *value)
{
	(void)key;
	if (!*value)
		parser->rule.discover.n_sockets = 0;
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value))
		add_socket(parser, word);
}

void section_discover_listen(struct parser *parser, const struct key *key, char *value)
{
	struct rule_discover *discover = &parser->rule.discover;
	bool in_kernel = !strcmp(value, "kernel");
	char quoted[TEXT_QUOTE_MAX];

	if (!*value)
		discover->listen_line = 0;
	else if (!in_kernel && strcmp(value, "event") != 0)
		parser_complain(parser, "%s is not a value of Listen=; write event or kernel",
			text_quote(value, quoted));
	else if (!key_assign_once(parser, key, &discover->listen_line))
		return;
	discover->in_kernel = in_kernel;
}

void section_discover_scan_interval(struct parser *parser, const struct key *key, char *value)
{
	struct rule_discover *discover = &parser->rule.discover;
	uint64_t ms = RULE_SCAN_INTERVAL_MS;
	char quoted[TEXT_QUOTE_MAX];

	if (!*value) {
		discover->scan_line = 0;
	} else if (!key_parse_time(value, SCAN_INTERVAL_MAX_MS, &ms)) {
		parser_complain(parser, "%s is not a time; write such as 500ms, 5s or 2min",
			text_quote(value, quoted));
		return;
	} else if (ms < SCAN_INTERVAL_MIN_MS || ms > SCAN_INTERVAL_MAX_MS) {
		parser_complain(parser, "%s is out of range; ScanInterval= is 100ms to 1h",
			text_quote(value, quoted));
		return;
	} else if (!key_assign_once(parser, key, &discover->scan_line)) {
		return;
	}
	discover->scan_interval_ms = (unsigned)ms;
}

/* The kernel compares only numbers: users and whole addresses. Everything else is checked afterwards. */
static void check_in_kernel(struct parser *parser)
{
	const struct rule_discover *discover = &parser->rule.discover;

	parser->line = discover->listen_line;
	if (!rule_has_match(&parser->rule, IPPROTO_TCP, AF_UNSPEC))
		parser_complain(
			parser, "Listen=kernel is for TCP, and the rule has no Stream=; write Listen=event");
	if (!discover->users.n)
		parser_complain(parser,
			"Listen=kernel requires users; write User= under [Discover], or Listen=event");
	else if (discover->users.n > RULE_KERNEL_USERS_MAX)
		parser_complain(parser,
			"Listen=kernel takes at most %u users, and User= under [Discover] has %zu; remove some or write Listen=event",
			RULE_KERNEL_USERS_MAX, discover->users.n);
	for (size_t i = 0; i < discover->n_sockets; i++) {
		const struct rule_match *socket = &discover->sockets[i];
		char text[RULE_MATCH_TEXT_MAX];

		if (socket->prefix.family == AF_UNSPEC || prefix_is_address(&socket->prefix))
			continue;
		parser->line = socket->line;
		parser_complain(parser,
			"'%s': with Listen=kernel a socket has a single address, or only a port; write one of these, or Listen=event",
			rule_match_format(socket, text));
	}
}

void section_discover_check(struct parser *parser)
{
	const struct rule_discover *discover = &parser->rule.discover;

	if (!discover->present)
		return;
	parser->line = parser->discover_line;
	if (!discover->n_sockets)
		parser_complain(
			parser, "[Discover] names no socket; write Socket= under it, or remove the section");
	if (discover->in_kernel)
		check_in_kernel(parser);
	section_complain_user_units(parser, "Discover", &discover->user_units, &discover->users);
}
