/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket_rules.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/text.h"

static void socket_rule_deinit(struct socket_rule *rule)
{
	free(rule->name);
	free(rule->unit);
	free(rule->file);
}

void socket_rules_deinit(struct socket_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		socket_rule_deinit(&rules->items[i]);
	free(rules->items);
	*rules = SOCKET_RULES_NULL;
}

static int add(
	struct socket_rules *rules, const char *name, const char *unit, const char *file, unsigned line)
{
	struct socket_rule rule;

	/* those of a rule follow one another */
	for (size_t i = rules->n; i-- > 0 && strcmp(rules->items[i].name, name) == 0;)
		if (strcmp(rules->items[i].unit, unit) == 0)
			return 0;
	rule = (struct socket_rule){strdup(name), strdup(unit), strdup(file), line};
	if (!rule.name || !rule.unit || !rule.file || ARRAY_RESERVE(rules->items, rules->n) < 0) {
		socket_rule_deinit(&rule);
		return -ENOMEM;
	}
	rules->items[rules->n++] = rule;
	return 0;
}

int socket_rules_add_set(struct socket_rules *rules, const struct rule_set *set)
{
	int r = 0;

	for (size_t i = 0; i < set->n_rules && !r; i++) {
		const struct rule *rule = &set->rules[i];

		for (size_t j = 0; j < rule->sockets.n && !r; j++)
			r = add(rules, rule->name, rule->sockets.items[j].text, rule->path,
				rule->sockets.items[j].line);
	}
	return r;
}

int socket_rules_add_unit(struct socket_rules *rules, const char *unit)
{
	struct socket_rule rule = {.unit = strdup(unit)};

	if (!rule.unit || ARRAY_RESERVE(rules->items, rules->n) < 0) {
		socket_rule_deinit(&rule);
		return -ENOMEM;
	}
	rules->items[rules->n++] = rule;
	return 0;
}

const char *socket_rules_find(const struct socket_rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->items[i].name, name) == 0)
			return rules->items[i].unit;
	return NULL;
}

static int add_row(struct client *client, void *userdata)
{
	unsigned long line = 0;

	if (strcmp(ask_value(client, KEY_KEY, ""), "Sockets") != 0)
		return 0;
	(void)text_to_uint(ask_value(client, KEY_LINE, "0"), UINT_MAX, &line);
	return add(userdata, ask_value(client, KEY_NAME, ""), ask_value(client, KEY_VALUE, ""),
		ask_value(client, KEY_FILE, ""), (unsigned)line);
}

int socket_rules_ask(
	struct client *client, const char *unit, struct socket_rules *ret, struct refusal *refusal)
{
	struct writer writer;

	client_begin(&writer, REQUEST_RULES);
	writer_put(&writer, KEY_KEY, "Sockets");
	if (unit)
		writer_put(&writer, KEY_VALUE, "%s", unit);
	return ask(client, &writer, NULL, 0, add_row, ret, refusal);
}
