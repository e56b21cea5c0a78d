/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The socket units that rules name (Sockets=), and the instances of usher whose rules they are */

#include <stddef.h>

#include "../rule/problem.h"

struct named_unit {
	char *unit;
	char **instances; /* "" is the default one */
	size_t n_instances;
};

struct named {
	struct named_unit *units; /* in the order in which they were found; none twice */
	size_t n_units;
	char **instances; /* those with any unit */
	size_t n_instances;
};

#define NAMED_NULL ((struct named){})

void named_deinit(struct named *named);

/*
 * named_find() - read the rule files of all instances
 * @root:     a folder that is taken for /; ""
 * @problems: what is wrong with the files that have Sockets=, appended; these files are left out
 *
 * The broker reports what is wrong with the other files.
 *
 * Return: 0 or -ENOMEM.
 */
int named_find(const char *root, struct named *ret, struct problems *problems);
