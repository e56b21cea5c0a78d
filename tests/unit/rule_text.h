/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Rule sets from text, and the tables of who may use them */

#include <stddef.h>

#include "access/access.h"

struct given {
	const char *name, *text;
};

/* make_set() - a rule set from texts, sorted by name by the caller; the files are /etc/usher/rules.d/NAME.rule */
struct rule_set *make_set(const struct given *given, size_t n);

/* One rule and its table */
struct one {
	struct rule_set *set;
	struct access_table *table;
};

/* make_one() - the rule 'web' for TCP port 80, followed by these sections */
struct one make_one(const char *sections);
void free_one(struct one *one);
