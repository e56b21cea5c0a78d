/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule_check.h"

#include <stdio.h>

#include "../../access/access.h"
#include "../../rule/stray.h"
#include "../../util/macro.h"

int rule_check(const struct rule_set *set, struct image **ret_image, struct problems *problems)
{
	int r = image_compile(set, ret_image, problems);

	return r > 0 ? RULE_BAD : r;
}

int rule_check_accounts(const struct rule_set *set, struct problems *warnings)
{
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	int r = access_table_new(set, NULL, &table);

	if (r < 0)
		return r;
	r = access_table_look_up(table);
	return r < 0 ? r : access_table_warn(table, warnings);
}

void rule_check_print_warnings(const struct problems *warnings)
{
	for (size_t i = 0; i < warnings->n; i++)
		if (warnings->items[i].line)
			(void)fprintf(stderr, "%s:%u: warning: %s\n", warnings->items[i].file,
				warnings->items[i].line, warnings->items[i].text);
		else
			(void)fprintf(stderr, "%s: warning: %s\n", warnings->items[i].file,
				warnings->items[i].text);
}

int rule_check_warn_stray(const char *const *dirs)
{
	_cleanup_(problems_deinit) struct problems warnings = PROBLEMS_NULL;
	int r = stray_collect(dirs, &warnings);

	rule_check_print_warnings(&warnings);
	return r;
}

void rule_check_print_problems(const struct problems *problems)
{
	char text[4096 + 512];

	for (size_t i = 0; i < problems->n; i++)
		(void)fprintf(stderr, "%s\n", problem_format(&problems->items[i], text, sizeof(text)));
}
