/* SPDX-License-Identifier: BSD-3-Clause */
/* The sections and keys of a rule file, and what a value of each may be: usher.rules(5) */
#include "parse.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "../util/text.h"
#include "array.h"
#include "match.h"

#define BLANKS " \t"
#define ACCESS_NAME_MAX 255U

struct key {
	const char *name;
	/* Sets the key to the words of a value. No word at all takes back what the key was given above. */
	void (*assign)(struct parser *parser, const char *key, char *value);
};

struct section {
	const char *name;
	const char *known;  /* the keys, for a message */
	struct key keys[5]; /* the last one has no name */
};

/* Next word of a list, or NULL. Cuts the list in place. */
static char *next_word(char **value)
{
	char *word = *value + strspn(*value, BLANKS);
	size_t length = strcspn(word, BLANKS);

	if (!length)
		return NULL;
	*value = word + length;
	if (**value)
		*(*value)++ = '\0';
	return word;
}

static void remove_matches(struct rule *rule, uint8_t protocol)
{
	size_t n = 0;

	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule->matches[i].protocol != protocol)
			rule->matches[n++] = rule->matches[i];
	rule->n_matches = n;
}

static void add_match(struct parser *parser, const char *key, const char *word)
{
	struct rule *rule = &parser->rule;
	struct rule_match match = {
		.protocol = !strcmp(key, "Datagram") ? IPPROTO_UDP : IPPROTO_TCP, .line = parser->line};
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

static void assign_matches(struct parser *parser, const char *key, char *value)
{
	if (!*value)
		remove_matches(&parser->rule, !strcmp(key, "Datagram") ? IPPROTO_UDP : IPPROTO_TCP);
	for (char *word = next_word(&value); word && !parser->error && !parser->stop;
		word = next_word(&value))
		add_match(parser, key, word);
}

/* A key with one value: whether it may be set on this line. */
static bool set_once(struct parser *parser, const char *key, unsigned *line)
{
	if (*line) {
		parser_complain(parser, "%s= was set on line %u already; remove one of them", key, *line);
		return false;
	}
	*line = parser->line;
	return true;
}

static void assign_missing(struct parser *parser, const char *key, char *value)
{
	struct rule *rule = &parser->rule;
	bool pass = !strcmp(value, "pass");
	char quoted[QUOTE_MAX];

	if (!*value)
		rule->missing_line = 0;
	else if (!pass && strcmp(value, "refuse") != 0)
		parser_complain(
			parser, "%s is not a value of Missing=; write refuse or pass", quote(value, quoted));
	else if (!set_once(parser, key, &rule->missing_line))
		return;
	rule->missing_pass = pass;
}

static void assign_order(struct parser *parser, const char *key, char *value)
{
	char quoted[QUOTE_MAX];

	if (!*value)
		parser->rule.order_line = 0;
	else if (strcmp(value, "first") != 0)
		parser_complain(parser, "%s is not a value of Order=; this version only supports first",
			quote(value, quoted));
	else
		(void)set_once(parser, key, &parser->rule.order_line);
}

static void words_clear(struct rule_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->items[i].text);
	words->n = 0;
}

static void words_add(struct parser *parser, struct rule_words *words, const char *key, const char *word)
{
	char *text;

	if (words->n == RULE_WORDS_MAX) {
		parser_complain(parser, "%s= has more than %u values", key, RULE_WORDS_MAX);
		parser->stop = true;
		return;
	}
	text = strdup(word);
	parser->error = text ? ARRAY_RESERVE(words->items, words->n) : -ENOMEM;
	if (parser->error) {
		free(text);
		return;
	}
	words->items[words->n].text = text;
	words->items[words->n++].line = parser->line;
}

/*
 * Whether a word can be a user or a group: a number, or anything that a directory service may use as a name. Whether
 * there is one of that name is asked when the rules are applied (access/), not here.
 */
static bool is_account(const char *word)
{
	unsigned long number;

	if (strspn(word, "0123456789") == strlen(word))
		return text_to_uint(word, UINT32_MAX - 1UL, &number) == 0;
	return strlen(word) <= ACCESS_NAME_MAX && !strpbrk(word, ":/,*?\"'[]=#;!") && !strchr("-+~", word[0]);
}

static void assign_accounts(struct parser *parser, const char *key, char *value)
{
	bool user = !strcmp(key, "User");
	struct rule_words *words = user ? &parser->rule.access.users : &parser->rule.access.groups;
	char quoted[QUOTE_MAX];

	if (!*value)
		words_clear(words);
	for (char *word = next_word(&value); word && !parser->error && !parser->stop;
		word = next_word(&value)) {
		if (is_account(word))
			words_add(parser, words, key, word);
		else
			parser_complain(parser,
				"%s cannot be a %s; write a name or a number up to 4294967294, separated "
				"by blanks",
				quote(word, quoted), user ? "user" : "group");
	}
}

static void assign_units(struct parser *parser, const char *key, char *value)
{
	struct rule_words *words = &parser->rule.access.units;
	char quoted[QUOTE_MAX];

	if (!*value)
		words_clear(words);
	for (char *word = next_word(&value); word && !parser->error && !parser->stop;
		word = next_word(&value)) {
		if (strlen(word) <= ACCESS_NAME_MAX && !strchr(word, '/'))
			words_add(parser, words, key, word);
		else
			parser_complain(parser,
				"%s cannot be a unit; write a name such as nginx.service or a shell glob",
				quote(word, quoted));
	}
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

static void assign_bound(struct parser *parser, const char *key, char *value)
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

static const struct section sections[] = {
	{
		.name = "Rule",
		.known = "Stream, Datagram, Missing and Order",
		.keys = {{"Stream", assign_matches}, {"Datagram", assign_matches},
			{"Missing", assign_missing}, {"Order", assign_order}},
	},
	{
		.name = "Access",
		.known = "User, Group, Unit and Bound",
		.keys = {{"User", assign_accounts}, {"Group", assign_accounts}, {"Unit", assign_units},
			{"Bound", assign_bound}},
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
	if (parser->section) {
		if (!strcmp(name, "Access"))
			parser->rule.access.present = true;
	} else if (!strcmp(name, "Discover")) {
		parser_complain(parser,
			"[Discover] is not part of this version, which does not discover sockets; remove "
			"the section");
	} else {
		parser_complain(parser, "unknown section %s; the sections are [Rule] and [Access]",
			quote(name, quoted));
	}
}

/* Why a key is unknown: another section has it, it is spelled otherwise, or there is none. */
static void complain_key(struct parser *parser, const char *name)
{
	char quoted[QUOTE_MAX];

	(void)quote(name, quoted);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		for (const struct key *key = sections[i].keys; key->name; key++) {
			if (strcasecmp(name, key->name) != 0)
				continue;
			if (&sections[i] != parser->section)
				parser_complain(parser, "%s does not belong to [%s]; write %s= under [%s]",
					quoted, parser->section->name, key->name, sections[i].name);
			else
				parser_complain(parser, "unknown key %s in [%s]; did you mean %s=?", quoted,
					parser->section->name, key->name);
			return;
		}
	parser_complain(parser, "unknown key %s in [%s]; the keys are %s", quoted, parser->section->name,
		parser->section->known);
}

void parser_assign(struct parser *parser, const char *name, char *value)
{
	for (const struct key *key = parser->section->keys; key->name; key++)
		if (!strcmp(name, key->name)) {
			key->assign(parser, key->name, value);
			return;
		}
	complain_key(parser, name);
}
