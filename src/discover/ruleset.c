/* SPDX-License-Identifier: BSD-3-Clause */
#include "ruleset.h"

#include "../rule/files.h"
#include "../util/macro.h"

int ruleset_load(struct ruleset *set, const char *const *directories, struct problems *problems)
{
	_cleanup_(access_table_freep) struct access_table *access = NULL;
	_cleanup_(rule_set_freep) struct rule_set *rules = NULL;
	int r;

	if (set->rules)
		r = files_reload(set->rules, directories, &rules, problems);
	else
		r = files_load_good(directories, NULL, &rules, problems);
	if (!r)
		r = access_table_new(rules, NULL, &access);
	if (r)
		return r < 0 ? r : RULESET_BAD;
	ruleset_deinit(set);
	set->access = TAKE_PTR(access);
	set->rules = TAKE_PTR(rules);
	return 0;
}

void ruleset_deinit(struct ruleset *set)
{
	access_table_free(set->access);
	rule_set_free(set->rules);
}

unsigned ruleset_interval(const struct ruleset *set)
{
	unsigned interval = 0;

	for (size_t i = 0; i < set->rules->n_rules; i++) {
		const struct rule_discover *discover = &set->rules->rules[i].discover;

		if (discover->present && (!interval || discover->scan_interval_ms < interval))
			interval = discover->scan_interval_ms;
	}
	return interval;
}
