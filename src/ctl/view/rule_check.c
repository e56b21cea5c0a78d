/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule_check.h"

#include <stdio.h>

#include "../../access/access.h"
#include "../../util/macro.h"

int rule_check(const struct rule_set *set, struct image **ret_image, struct problems *problems)
{
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	_cleanup_(image_freep) struct image *image = NULL;
	bool bad;
	int r;

	r = image_compile(set, &image, problems);
	if (r < 0)
		return r;
	bad = r > 0;
	r = access_table_new(set, &table, problems);
	if (r < 0)
		return r;
	if (bad || r > 0)
		return RULE_BAD;
	*ret_image = TAKE_PTR(image);
	return 0;
}

void rule_check_print_problems(const struct problems *problems)
{
	char text[4096 + 512];

	for (size_t i = 0; i < problems->n; i++)
		(void)fprintf(stderr, "%s\n", problem_format(&problems->items[i], text, sizeof(text)));
}
