/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a rule set has that another one had not: what a reload answers. */

#include "rule.h"

struct rule_changes {
	size_t added, removed, kept; /* matches */
};

/*
 * rule_set_compare() - count the matches by which two rule sets differ
 * @old: may be NULL
 *
 * A match is the same when its rule has the same name, and it takes the same packets; where it stands is of no account.
 *
 * Return: 0 or -ENOMEM.
 */
int rule_set_compare(const struct rule_set *old, const struct rule_set *new, struct rule_changes *ret);
