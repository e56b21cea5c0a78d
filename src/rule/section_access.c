/* SPDX-License-Identifier: BSD-3-Clause */

/* The section [Access], except its lists of words */

#include <string.h>

#include "../util/array.h"
#include "../util/text.h"
#include "section.h"

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
	char quoted[TEXT_QUOTE_MAX];
	bool alone = true;

	if (!strcmp(word, "any")) {
		alone = !access->n_bound && !access->bound_any;
		access->bound_any = true;
	} else if (word[0] == '[') {
		parser_complain(parser,
			"%s: Bound= takes prefixes without brackets and ports; write fd00::/8",
			text_quote(word, quoted));
	} else if (strlen(word) >= TEXT_QUOTE_MAX) {
		parser_complain(parser, "%s is too long to be a prefix", text_quote(word, quoted));
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
		parser_complain(parser,
			"Bound=any means no limit and must be the only value; remove it or the others");
}

void section_access_set_default_bound(struct parser *parser)
{
	static const char *const prefixes[] = {"127.0.0.0/8", "::1/128", "fc00::/7"};

	bound_clear(&parser->rule.access);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && !parser->error; i++)
		bound_add(parser, prefixes[i]);
}

void section_access_bound(struct parser *parser, const struct key *key, char *value)
{
	struct rule_access *access = &parser->rule.access;

	(void)key;
	if (!*value) {
		section_access_set_default_bound(parser);
		return;
	}
	if (!access->bound_line)
		bound_clear(access); /* the default */
	access->bound_line = access->bound_line ? access->bound_line : parser->line;
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value))
		bound_add(parser, word);
}

void section_complain_user_units(struct parser *parser, const char *section,
	const struct rule_words *user_units, const struct rule_words *users)
{
	if (!user_units->n || users->n)
		return;
	parser->line = user_units->items[0].line;
	parser_complain(parser,
		"UserUnit=%s needs users, because any user can have a unit of that name; write User= under [%s]",
		user_units->items[0].text, section);
}

void section_access_check(struct parser *parser)
{
	const struct rule_access *access = &parser->rule.access;

	section_complain_user_units(parser, "Access", &access->user_units, &access->users);
}
