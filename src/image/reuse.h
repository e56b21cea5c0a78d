/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reusing parts of the previous image
 *
 * A match that was added or removed changes only the ports of its range: which prefixes these have, and which rule is
 * the narrowest there. So only the ports from the first to the last one in any such match are compiled. The others keep
 * their classes, whose nodes are copied.
 */

#include "compile.h"

/*
 * reuse_find_ports() - the ports of each table that must be compiled
 * @before: NULL: compile all of them
 */
void reuse_find_ports(
	const struct rule_set *before, const struct rule_set *set, struct ports ports[static USHER_TABLES]);

/*
 * reuse_copy() - write the other ports of a table, and the classes and nodes that they need, as in the previous image
 * @seats: for each seat of the previous image, its word in this one; 0: it is gone
 *
 * Return: 0, IMAGE_TOO_LARGE without a problem, or -ENOMEM.
 */
int reuse_copy(
	struct image *image, const struct image *before, const struct table *table, const uint32_t *seats);
