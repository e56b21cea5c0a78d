/* SPDX-License-Identifier: BSD-3-Clause */

/* The section [Relay] */

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../util/address.h"
#include "../util/array.h"
#include "../util/text.h"
#include "match.h"
#include "section.h"

#define CONNECTIONS_MAX 1000000U
#define TIME_MAX_MS (24U * 60 * 60 * 1000)

static const struct rule_relay defaults = {
	.max_connections = 4096,
	.connect_timeout = {.ms = 10 * 1000},
	.keep_alive = {.ms = 300 * 1000},
	.session_timeout = {.ms = 60 * 1000},
};

void section_relay_enter(struct parser *parser)
{
	struct rule_relay *relay = &parser->rule.relay;

	if (relay->present)
		return;
	*relay = defaults;
	relay->present = true;
	parser->relay_line = parser->line;
}

static bool parse_unix(struct parser *parser, const char *word, struct rule_backend *backend)
{
	char quoted[TEXT_QUOTE_MAX];

	backend->family = AF_UNIX;
	/* A path has a zero byte at its end; an abstract name has one in place of its '@'. */
	if (strlen(word) < sizeof((struct sockaddr_un){0}.sun_path) && word[1])
		return true;
	parser_complain(parser,
		"%s cannot be a socket; a path, or '@' and an abstract name, has 2 to %zu bytes",
		text_quote(word, quoted), sizeof((struct sockaddr_un){0}.sun_path) - 1);
	return false;
}

static bool parse_endpoint(struct parser *parser, const char *word, struct rule_backend *backend)
{
	char quoted[TEXT_QUOTE_MAX];
	struct rule_match match;
	struct refusal why;

	(void)text_quote(word, quoted);
	if (rule_match_parse(word, &match, &why) || !rule_match_is_endpoint(&match) || strchr(word, '/')) {
		parser_complain(parser,
			"%s is not a backend; write ADDRESS:PORT, [IPV6]:PORT, /PATH or @ABSTRACT (names of hosts are not looked up)",
			quoted);
		return false;
	}
	backend->family = match.prefix.family;
	memcpy(backend->address, match.prefix.address, sizeof(backend->address));
	backend->port = match.first;
	if (!address_is_any(backend->family, backend->address) &&
		!address_is_multicast(backend->family, backend->address))
		return true;
	parser_complain(
		parser, "%s: nothing can be reached at this address; write the one of the backend", quoted);
	return false;
}

static void add_backend(struct parser *parser, const char *word)
{
	struct rule_relay *relay = &parser->rule.relay;
	struct rule_backend backend = {.line = parser->line};

	if (relay->n_backends == RULE_BACKENDS_MAX) {
		parser_complain(parser, "Connect= has more than %u values", RULE_BACKENDS_MAX);
		parser->stop = true;
		return;
	}
	if (word[0] == '/' || word[0] == '@' ? !parse_unix(parser, word, &backend)
					     : !parse_endpoint(parser, word, &backend))
		return;
	backend.text = strdup(word);
	parser->error = backend.text ? ARRAY_RESERVE(relay->backends, relay->n_backends) : -ENOMEM;
	if (parser->error)
		free(backend.text);
	else
		relay->backends[relay->n_backends++] = backend;
}

void section_relay_connect(struct parser *parser, const struct key *key, char *value)
{
	struct rule_relay *relay = &parser->rule.relay;

	(void)key;
	while (!*value && relay->n_backends)
		free(relay->backends[--relay->n_backends].text);
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value))
		add_backend(parser, word);
}

void section_relay_send_proxy(struct parser *parser, const struct key *key, char *value)
{
	static const char *const words[] = {"no", "v1", "v2"};
	struct rule_relay *relay = &parser->rule.relay;
	char quoted[TEXT_QUOTE_MAX];
	size_t i = 0;

	if (!*value) {
		relay->send_proxy_line = 0;
		relay->send_proxy = RULE_SEND_PROXY_NO;
		return;
	}
	while (i < ARRAY_SIZE(words) && strcmp(value, words[i]) != 0)
		i++;
	if (i == ARRAY_SIZE(words))
		parser_complain(parser, "%s is not a value of SendProxy=; write v1, v2 or no",
			text_quote(value, quoted));
	else if (key_assign_once(parser, key, &relay->send_proxy_line))
		relay->send_proxy = (enum rule_send_proxy)i;
}

static void add_proxy(struct parser *parser, const char *word)
{
	struct rule_relay *relay = &parser->rule.relay;
	char quoted[TEXT_QUOTE_MAX];
	struct prefix prefix;
	struct refusal why;

	if (strlen(word) >= TEXT_QUOTE_MAX || word[0] == '[') {
		parser_complain(parser,
			"%s cannot be a proxy; AcceptProxy= takes addresses and prefixes without brackets and ports, such as 192.0.2.7 or fd00::/64",
			text_quote(word, quoted));
	} else if (prefix_parse(word, &prefix, &why)) {
		parser_complain(parser, "%s", why.text);
	} else if (relay->n_proxies == RULE_WORDS_MAX) {
		parser_complain(
			parser, "AcceptProxy= has more than %u prefixes; use shorter ones", RULE_WORDS_MAX);
		parser->stop = true;
	} else {
		parser->error = ARRAY_RESERVE(relay->proxies, relay->n_proxies);
		if (!parser->error)
			relay->proxies[relay->n_proxies++] = prefix;
	}
}

void section_relay_accept_proxy(struct parser *parser, const struct key *key, char *value)
{
	struct rule_relay *relay = &parser->rule.relay;

	(void)key;
	if (!*value)
		relay->n_proxies = 0;
	relay->accept_proxy_line = !*value		      ? 0
				   : relay->accept_proxy_line ? relay->accept_proxy_line
							      : parser->line;
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value))
		add_proxy(parser, word);
}

void section_relay_transparent(struct parser *parser, const struct key *key, char *value)
{
	struct rule_relay *relay = &parser->rule.relay;
	bool yes = !strcmp(value, "yes");
	char quoted[TEXT_QUOTE_MAX];

	if (!*value)
		relay->transparent_line = 0;
	else if (!yes && strcmp(value, "no") != 0)
		parser_complain(parser, "%s is not a value of Transparent=; write yes or no",
			text_quote(value, quoted));
	else if (!key_assign_once(parser, key, &relay->transparent_line))
		return;
	relay->transparent = yes;
}

void section_relay_max_connections(struct parser *parser, const struct key *key, char *value)
{
	struct rule_relay *relay = &parser->rule.relay;
	unsigned long number = defaults.max_connections;
	char quoted[TEXT_QUOTE_MAX];

	if (!*value)
		relay->max_connections_line = 0;
	else if (text_to_uint(value, CONNECTIONS_MAX, &number) || !number) {
		parser_complain(parser, "%s is not a value of MaxConnections=; write a number from 1 to %u",
			text_quote(value, quoted), CONNECTIONS_MAX);
		return;
	} else if (!key_assign_once(parser, key, &relay->max_connections_line)) {
		return;
	}
	relay->max_connections = (unsigned)number;
}

void section_relay_time(struct parser *parser, const struct key *key, char *value)
{
	struct rule_time *time = (struct rule_time *)((char *)&parser->rule + key->words);
	const struct rule_time *usual = (const struct rule_time *)((const char *)&defaults + key->words -
								   offsetof(struct rule, relay));
	char quoted[TEXT_QUOTE_MAX];
	uint64_t ms = 0;

	if (!*value) {
		*time = *usual;
		return;
	}
	if (strcmp(value, "off") != 0 && !key_parse_time(value, TIME_MAX_MS, &ms)) {
		parser_complain(parser, "%s is not a time; write such as 500ms, 5s or 2min, or off",
			text_quote(value, quoted));
	} else if (strcmp(value, "off") != 0 && (ms < 1 || ms > TIME_MAX_MS)) {
		parser_complain(parser, "%s is out of range; %s= is 1ms to 24h, or off",
			text_quote(value, quoted), key->name);
	} else if (key_assign_once(parser, key, &time->line)) {
		time->ms = (unsigned)ms;
	}
}

/* What cannot be for datagrams */
static void check_datagrams(struct parser *parser)
{
	const struct rule_relay *relay = &parser->rule.relay;
	bool alone = !rule_has_match(&parser->rule, IPPROTO_TCP, AF_UNSPEC);

	if (!relay->session_timeout.ms) {
		parser->line = relay->session_timeout.line;
		parser_complain(parser,
			"SessionTimeout=off would keep a socket for each client for ever; write a time such as 60s");
	}
	if (!rule_has_match(&parser->rule, IPPROTO_UDP, AF_UNSPEC))
		return;
	if (relay->send_proxy == RULE_SEND_PROXY_V1 && alone) {
		parser->line = relay->send_proxy_line;
		parser_complain(
			parser, "SendProxy=v1 is for TCP, and the rule has no Stream=; write SendProxy=v2");
	}
	if (relay->transparent && alone) {
		parser->line = relay->transparent_line;
		parser_complain(parser,
			"Transparent=yes is for TCP, and the rule has no Stream=; write SendProxy=v2 in its place");
	}
	for (size_t i = 0; i < relay->n_backends && alone; i++)
		if (relay->backends[i].family == AF_UNIX) {
			parser->line = relay->backends[i].line;
			parser_complain(parser,
				"Connect=%s is a Unix socket, and datagrams are relayed to IP addresses only",
				relay->backends[i].text);
		}
}

void section_relay_check(struct parser *parser)
{
	const struct rule_relay *relay = &parser->rule.relay;

	if (!relay->present)
		return;
	parser->line = parser->relay_line;
	if (!relay->n_backends)
		parser_complain(
			parser, "[Relay] names no backend; write Connect= under it, or remove the section");
	for (size_t i = 0; i < relay->n_backends && relay->transparent; i++)
		if (relay->backends[i].family == AF_UNIX) {
			parser->line = relay->backends[i].line;
			parser_complain(parser,
				"Transparent=yes needs a backend with an IP address, and Connect=%s has none; write SendProxy=v2 in its place",
				relay->backends[i].text);
		}
	check_datagrams(parser);
}
