/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl cat-config: the effective rule files, one after the other, each under its path */

#include <stdio.h>
#include <stdlib.h>

#include "../rule/files.h"
#include "../rule/rule.h"
#include "complain.h"
#include "ctl.h"
#include "view/rule_check.h"

struct printing {
	bool started;
};

static void print_file(const char *path, const char *text, size_t size, void *userdata)
{
	struct printing *printing = userdata;

	(void)printf("%s# %s%s\n", printing->started ? "\n" : "", path, text ? "" : " (masks the rule)");
	printing->started = true;
	if (!text)
		return;
	(void)fwrite(text, 1, size, stdout);
	if (size > 0 && text[size - 1] != '\n')
		(void)putchar('\n');
}

int verb_cat_config(const struct ctl *ctl)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct printing printing = {};
	int r;

	r = files_foreach(ctl->instance.rule_dirs, print_file, &printing, &problems);
	if (r < 0)
		return complain_memory();
	rule_check_print_problems(&problems);
	if (rule_check_warn_stray(ctl->instance.rule_dirs) < 0)
		return complain_memory();
	return r == RULE_BAD ? EXIT_BAD_DATA : EXIT_SUCCESS;
}
