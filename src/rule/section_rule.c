/* SPDX-License-Identifier: BSD-3-Clause */

/* The section [Rule] */

#include <string.h>

#include "../util/array.h"
#include "../util/text.h"
#include "match.h"
#include "section.h"

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

void section_rule_matches(struct parser *parser, const struct key *key, char *value)
{
	if (!*value)
		remove_matches(&parser->rule, key->protocol);
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value))
		add_match(parser, key, word);
}

void section_rule_missing(struct parser *parser, const struct key *key, char *value)
{
	struct rule *rule = &parser->rule;
	bool pass = !strcmp(value, "pass");
	char quoted[TEXT_QUOTE_MAX];

	if (!*value)
		rule->missing_line = 0;
	else if (!pass && strcmp(value, "refuse") != 0)
		parser_complain(parser, "%s is not a value of Missing=; write refuse or pass",
			text_quote(value, quoted));
	else if (!key_assign_once(parser, key, &rule->missing_line))
		return;
	rule->missing_pass = pass;
}

void section_rule_order(struct parser *parser, const struct key *key, char *value)
{
	struct rule *rule = &parser->rule;
	enum rule_order order = RULE_FIRST;
	char quoted[TEXT_QUOTE_MAX];

	while (*value && order < RULE_ORDERS && strcmp(value, rule_order_word(order)) != 0)
		order++;
	if (!*value)
		rule->order_line = 0;
	else if (order == RULE_ORDERS)
		parser_complain(parser, "%s is not a value of Order=; write first, before-wildcard or last",
			text_quote(value, quoted));
	else if (!key_assign_once(parser, key, &rule->order_line))
		return;
	rule->order = order < RULE_ORDERS ? order : RULE_FIRST;
}
