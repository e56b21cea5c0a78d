/* SPDX-License-Identifier: BSD-3-Clause */

/* The request rules: the rule set in force, one row for each setting. */

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../rule/setting.h"
#include "../util/transport.h"
#include "request.h"

struct rules {
	struct generation *generation; /* referenced */
	const struct rule *rule, *end;
	size_t at;	   /* settings of the rule that have been looked at */
	char *key, *value; /* only assignments of this key, and with this value; or NULL */
};

static void rules_release(void *state)
{
	struct rules *rules = state;

	generation_unref(rules->generation);
	free(rules->key);
	free(rules->value);
	free(rules);
}

static void write_setting(struct writer *row, const struct rule *rule, const struct rule_setting *setting)
{
	char text[RULE_MATCH_TEXT_MAX];

	writer_put(row, KEY_ROW, "1");
	writer_put(row, KEY_NAME, "%s", rule->name);
	writer_put(row, KEY_SECTION, "%s", setting->section);
	writer_put(row, KEY_KEY, "%s", setting->key);
	writer_put(row, KEY_VALUE, "%s", setting->value);
	writer_put(row, KEY_FILE, "%s", rule->path);
	writer_put(row, KEY_LINE, "%u", setting->line);
	if (!setting->match)
		return;
	writer_put(row, KEY_PROTOCOL, "%s", protocol_word(setting->match->protocol));
	writer_put(row, KEY_PREFIX, "%s",
		setting->match->prefix.family == AF_UNSPEC ? "*"
							   : prefix_format(&setting->match->prefix, text));
	writer_put(row, KEY_PORTS, "%s", rule_ports_format(setting->match, text));
}

static bool is_asked_for(const struct rules *rules, const struct rule_setting *setting)
{
	return (!rules->key || !strcmp(rules->key, setting->key)) &&
	       (!rules->value || !strcmp(rules->value, setting->value));
}

/* Matches come first, and may be a million: they are not looked at if another key is asked for. */
static size_t find_first(const struct rules *rules, const struct rule *rule)
{
	bool all = !rules->key || !strcmp(rules->key, rule_match_key(IPPROTO_TCP)) ||
		   !strcmp(rules->key, rule_match_key(IPPROTO_UDP));

	return all ? 0 : rule->n_matches;
}

static bool rules_next(void *state, struct writer *row, int *fds, size_t *n_fds)
{
	struct rules *rules = state;

	(void)fds;
	(void)n_fds;
	for (; rules->rule < rules->end; rules->rule++, rules->at = 0) {
		char text[RULE_MATCH_TEXT_MAX];
		struct rule_setting setting;

		if (!rules->at)
			rules->at = find_first(rules, rules->rule);
		while (setting_get(rules->rule, rules->at++, text, &setting)) {
			if (!is_asked_for(rules, &setting))
				continue;
			write_setting(row, rules->rule, &setting);
			return true;
		}
	}
	writer_put(row, KEY_OK, "1");
	return false;
}

int request_rules(struct broker *broker, const struct message *message, struct answer_source *answer,
	struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME), *key = message_get(message, KEY_KEY),
		   *value = message_get(message, KEY_VALUE);
	const struct rule_set *set = broker->generation->rules;
	const struct rule *rule = name ? rule_set_find(set, name) : set->rules;
	struct rules *rules;

	if (name && !rule)
		return refuse(refusal, ENOENT,
			"there is no rule '%s' (ENOENT); 'usherctl rules' shows all rules", name);
	rules = calloc(1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	*rules = (struct rules){
		.generation = generation_ref(broker->generation),
		.rule = rule,
		.end = rule ? rule + (name ? 1 : set->n_rules) : NULL,
		.key = key ? strdup(key) : NULL,
		.value = value ? strdup(value) : NULL,
	};
	if ((key && !rules->key) || (value && !rules->value)) {
		rules_release(rules);
		return -ENOMEM;
	}
	*answer = (struct answer_source){.next = rules_next, .release = rules_release, .state = rules};
	return 0;
}
