/* SPDX-License-Identifier: BSD-3-Clause */
#undef NDEBUG
#include "rule_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/parse.h"

struct rule_set *make_set(const struct given *given, size_t n)
{
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = calloc(1, sizeof(*set));

	assert_non_null(set);
	set->rules = calloc(n + 1, sizeof(*set->rules));
	assert_non_null(set->rules);
	for (; set->n_rules < n; set->n_rules++) {
		const char *text = given[set->n_rules].text;
		char path[64];

		(void)snprintf(path, sizeof(path), "/etc/usher/rules.d/%s.rule", given[set->n_rules].name);
		if (parse_rule(given[set->n_rules].name, path, text, strlen(text), &set->rules[set->n_rules],
			    &problems))
			fail_msg("rule %zu: %s", set->n_rules, problems.n ? problems.items[0].text : "?");
	}
	return set;
}

struct one make_one(const char *sections)
{
	char text[1024];
	struct one one;

	(void)snprintf(text, sizeof(text), "[Rule]\nStream=80\n%s", sections);
	one.set = make_set(&(struct given){"web", text}, 1);
	assert_int_equal(access_table_new(one.set, NULL, &one.table), 0);
	assert_int_equal(access_table_look_up(one.table), 0);
	return one;
}

void free_one(struct one *one)
{
	assert_null(access_table_free(one->table));
	assert_null(rule_set_free(one->set));
}
