/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the rule files say of a packet now, which is not in force before a reload */

#include "explanation.h"

struct rule_files {
	struct rule_set *rules; /* that were read for all of this explanation; NULL: the files are bad */
	char problem[1024];	/* why they are */
	char name[NAME_LENGTH_MAX + 1]; /* of the winner, "" */
	const char *file;		/* of the winner, which it belongs to */
	unsigned line;
	bool changed; /* another winner than the one in force, or other settings of it */
	/* a rule that would win if its file were not masked, or another read in its place; NULL when there is none */
	char *masked, *mask;
	bool overridden;
	char masked_name[NAME_LENGTH_MAX + 1];
};

#define RULE_FILES_NULL ((struct rule_files){})

void rule_files_deinit(struct rule_files *files);

/* rule_files_read() - read the files of the broker's instance and compare; Return: 0 or -ENOMEM */
int rule_files_read(const struct asked *asked, const struct explanation *explanation, struct rule_files *ret);
