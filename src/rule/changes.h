/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The matches that one rule set has and another has not, as a reload reports them */

#include "rule.h"

/* The matches of a name in two rule sets, without those that are alike at the beginning and at the end */
struct rule_change {
	const struct rule_match *old, *new;
	size_t n_old, n_new;
	size_t n_same; /* left out */
};

/*
 * changes_foreach() - call a function for every name that is in either of two rule sets
 * @old: may be NULL
 *
 * A match is the same when it takes the same packets, wherever it is in its file.
 *
 * Return: 0, or what the function returned, if that was not 0: it is not called again then.
 */
int changes_foreach(const struct rule_set *old, const struct rule_set *new,
	int (*function)(const struct rule_change *change, void *userdata), void *userdata);

struct rule_changes {
	size_t added, removed, kept; /* matches */
};

/*
 * changes_count() - count the matches by which two rule sets differ
 * @old: may be NULL
 *
 * A match is the same when its rule has the same name and it takes the same packets, wherever it is.
 *
 * Return: 0 or -ENOMEM.
 */
int changes_count(const struct rule_set *old, const struct rule_set *new, struct rule_changes *ret);
