/* SPDX-License-Identifier: BSD-3-Clause */
#include "stray.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "visit.h"

bool stray_is_name(const char *name)
{
	static const char *const expected[] = {".*", "README*", "*.example", "*.disabled", "*~", "*.bak",
		"*.old", "*.orig", "*.rej", "*.sw[op]", "*.dpkg-*", "*.ucf-*", "*.rpm*"};

	if (visit_is_rule_file(name))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (!fnmatch(expected[i], name, 0))
			return false;
	return true;
}

static int select_stray(const struct dirent *entry)
{
	return stray_is_name(entry->d_name);
}

static int collect(const char *dir, struct problems *warnings)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, select_stray, alphasort), r = 0;

	if (n < 0)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0) {
			path = NULL; /* asprintf(3) leaves it undefined */
			r = -ENOMEM;
		} else if (!r) {
			r = problems_add(warnings, path, 0, "it is not read: rule files are named NAME.rule");
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int stray_collect(const char *const *dirs, struct problems *warnings)
{
	int r = 0;

	for (; *dirs && !r; dirs++)
		r = collect(*dirs, warnings);
	return r;
}
