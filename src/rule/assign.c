/* SPDX-License-Identifier: BSD-3-Clause */
/* The sections and keys of a rule file, and what a value of each may be: usher.rules(5) */
#include "../util/array.h"
#include "parse.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "discover.h"
#include "key.h"
#include "match.h"

struct section {
	const char *name;
	const char *known;  /* the keys, for a message */
	struct key keys[7]; /* the last one has no name */
};

static void remove_matches(struct rule *rule, uint8_t protocol)
{
	size_t n = 0;

	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule->matches[i].protocol != protocol)
			rule->matches[n++] = rule->matches[i];
	rule->n_matches = n;
}

static void add_match(struct parser *parser, const struct key *key, const char *word)
{
	struct rule *rule = &parser->rule;
	struct rule_match match = {.protocol = key->protocol, .line = parser->line};
	struct refusal why;

	if (rule_match_parse(word, &match, &why)) {
		parser_complain(parser, "%s", why.text);
	} else if (rule->n_matches == RULE_MATCHES_MAX) {
		parser_complain(parser,
			"the rule has more than %u matches; use shorter prefixes or port ranges",
			RULE_MATCHES_MAX);
		parser->stop = true;
	} else {
		parser->error = ARRAY_RESERVE(rule->matches, rule->n_matches);
		if (!parser->error)
			rule->matches[rule->n_matches++] = match;
	}
}

static void assign_matches(struct parser *parser, const struct key *key, char *value)
{
	if (!*value)
		remove_matches(&parser->rule, key->protocol);
	for (char *word = next_word(&value); word && !parser->error && !parser->stop;
		word = next_word(&value))
		add_match(parser, key, word);
}

static void assign_missing(struct parser *parser, const struct key *key, char *value)
{
	struct rule *rule = &parser->rule;
	bool pass = !strcmp(value, "pass");
	char quoted[QUOTE_MAX];

	if (!*value)
		rule->missing_line = 0;
	else if (!pass && strcmp(value, "refuse") != 0)
		parser_complain(
			parser, "%s is not a value of Missing=; write refuse or pass", quote(value, quoted));
	else if (!assign_once(parser, key, &rule->missing_line))
		return;
	rule->missing_pass = pass;
}

static void assign_order(struct parser *parser, const struct key *key, char *value)
{
	char quoted[QUOTE_MAX];

	if (!*value)
		parser->rule.order_line = 0;
	else if (strcmp(value, "first") != 0)
		parser_complain(parser, "%s is not a value of Order=; this version only supports first",
			quote(value, quoted));
	else
		(void)assign_once(parser, key, &parser->rule.order_line);
}

static void bound_clear(struct rule_access *access)
{
	free(access->bound);
	access->bound = NULL;
	access->n_bound = 0;
	access->bound_any = false;
	access->bound_line = 0;
}

static void bound_add(struct parser *parser, const char *word)
{
	struct rule_access *access = &parser->rule.access;
	struct prefix prefix;
	struct refusal why;
	char quoted[QUOTE_MAX];
	bool alone = true;

	if (!strcmp(word, "any")) {
		alone = !access->n_bound && !access->bound_any;
		access->bound_any = true;
	} else if (word[0] == '[') {
		parser_complain(parser,
			"%s: Bound= takes prefixes without brackets and ports; write fd00::/8",
			quote(word, quoted));
	} else if (strlen(word) >= QUOTE_MAX) {
		parser_complain(parser, "%s is too long to be a prefix", quote(word, quoted));
	} else if (prefix_parse(word, &prefix, &why)) {
		parser_complain(parser, "%s", why.text);
	} else if (access->n_bound == RULE_WORDS_MAX) {
		parser_complain(parser, "Bound= has more than %u prefixes; use shorter ones", RULE_WORDS_MAX);
		parser->stop = true;
	} else {
		alone = !access->bound_any;
		parser->error = ARRAY_RESERVE(access->bound, access->n_bound);
		if (!parser->error)
			access->bound[access->n_bound++] = prefix;
	}
	if (!alone)
		parser_complain(parser, "Bound=any means no limit and stands alone; remove it or the rest");
}

void parser_set_default_bound(struct parser *parser)
{
	static const char *const prefixes[] = {"127.0.0.0/8", "::1/128", "fc00::/7"};

	bound_clear(&parser->rule.access);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && !parser->error; i++)
		bound_add(parser, prefixes[i]);
}

static void assign_bound(struct parser *parser, const struct key *key, char *value)
{
	struct rule_access *access = &parser->rule.access;

	(void)key;
	if (!*value) {
		parser_set_default_bound(parser);
		return;
	}
	if (!access->bound_line)
		bound_clear(access); /* the default */
	access->bound_line = access->bound_line ? access->bound_line : parser->line;
	for (char *word = next_word(&value); word && !parser->error && !parser->stop;
		word = next_word(&value))
		bound_add(parser, word);
}

#define WORDS(member) offsetof(struct rule, member)

static const struct section sections[] = {
	{
		.name = "Rule",
		.known = "Stream, Datagram, Missing and Order",
		.keys = {{"Stream", assign_matches, .protocol = IPPROTO_TCP},
			{"Datagram", assign_matches, .protocol = IPPROTO_UDP}, {"Missing", assign_missing, 0},
			{"Order", assign_order, 0}},
	},
	{
		.name = "Access",
		.known = "User, Group, Unit and Bound",
		.keys = {{"User", assign_users, WORDS(access.users)},
			{"Group", assign_groups, WORDS(access.groups)},
			{"Unit", assign_units, WORDS(access.units)}, {"Bound", assign_bound, 0}},
	},
	{
		.name = "Discover",
		.known = "Socket, User, Unit, Executable, Listen and ScanInterval",
		.keys = {{"Socket", assign_sockets, 0}, {"User", assign_users, WORDS(discover.users)},
			{"Unit", assign_units, WORDS(discover.units)},
			{"Executable", assign_executables, WORDS(discover.executables)},
			{"Listen", assign_listen, 0}, {"ScanInterval", assign_scan_interval, 0}},
	},
};

void parser_enter(struct parser *parser, const char *name)
{
	char quoted[QUOTE_MAX];

	parser->section = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(name, sections[i].name))
			parser->section = &sections[i];
	parser->skip = !parser->section;
	if (!parser->section)
		parser_complain(parser,
			"unknown section %s; the sections are [Rule], [Access] and [Discover]",
			quote(name, quoted));
	else if (!strcmp(name, "Access"))
		parser->rule.access.present = true;
	else if (!strcmp(name, "Discover"))
		discover_enter(parser);
}

static const struct key *find_key(const struct section *section, const char *name)
{
	for (const struct key *key = section->keys; key->name; key++)
		if (!strcasecmp(name, key->name))
			return key;
	return NULL;
}

/* Why a key is unknown: it is spelled otherwise, another section has it, or there is none. */
static void complain_key(struct parser *parser, const char *name)
{
	const struct key *key = find_key(parser->section, name);
	char quoted[QUOTE_MAX];

	(void)quote(name, quoted);
	if (key) {
		parser_complain(parser, "unknown key %s in [%s]; did you mean %s=?", quoted,
			parser->section->name, key->name);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		key = find_key(&sections[i], name);
		if (key) {
			parser_complain(parser, "%s does not belong to [%s]; write %s= under [%s]", quoted,
				parser->section->name, key->name, sections[i].name);
			return;
		}
	}
	parser_complain(parser, "unknown key %s in [%s]; the keys are %s", quoted, parser->section->name,
		parser->section->known);
}

void parser_assign(struct parser *parser, const char *name, char *value)
{
	for (const struct key *key = parser->section->keys; key->name; key++)
		if (!strcmp(name, key->name)) {
			key->assign(parser, key, value);
			return;
		}
	complain_key(parser, name);
}
