/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule_check.h"

#include <stdio.h>

#include "../../access/access.h"
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

void rule_check_print_problems(const struct problems *problems)
{
	char text[4096 + 512];

	for (size_t i = 0; i < problems->n; i++)
		(void)fprintf(stderr, "%s\n", problem_format(&problems->items[i], text, sizeof(text)));
}
