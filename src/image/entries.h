/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The matches of a rule set that concern one table, sorted. */

#include "compile.h"

struct entry {
	const struct rule_match *match;
	uint32_t rule;
	uint32_t key; /* for the current step of the sort */
};

struct entries {
	struct entry *items;
	size_t n;
};

/*
 * entries_collect() - the matches for a family and protocol that have one of the ports of the table
 * @entries: empty; the caller frees `items`, on failure too
 *
 * Sorted by prefix, as tree_add() requires; within a prefix the narrowest first, and those of equal width by port, so
 * that overlapping ones are neighbours; then by rule and line. A match for any address has length 0.
 *
 * Return: 0 or -ENOMEM.
 */
int entries_collect(const struct rule_set *set, const struct table *table, struct entries *entries);
