/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the rule files say about a packet now; a change takes effect with the next reload */

#include "explanation.h"

struct rule_files {
	struct rule_set *rules;		/* read once for the whole explanation; NULL: the files have errors */
	char problem[1024];		/* the first error */
	char name[NAME_LENGTH_MAX + 1]; /* of the winner, "" */
	const char *file;		/* of the winner; borrowed from it */
	unsigned line;
	bool changed;	    /* another name wins than the one in force, or its settings differ */
	char changes[512];  /* of the settings, when the name is the same: "-Stream=80 +Stream=81" */
	char refused[1024]; /* a reload would fail, and change nothing: why; "" */
	/* the file whose rule would win if no other file masked or replaced it, and that other file; or NULL */
	char *masked, *mask;
	bool overridden;
	char masked_name[NAME_LENGTH_MAX + 1];
};

#define RULE_FILES_NULL ((struct rule_files){})

void rule_files_deinit(struct rule_files *files);

/* rule_files_read() - read the files of the broker's instance, compare with what is in force; Return: 0 or -ENOMEM */
int rule_files_read(const struct asked *asked, const struct explanation *explanation, struct rule_files *ret);
