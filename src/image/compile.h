/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The steps of image_compile(), for one table (family and protocol) at a time
 *
 * matches --(spans.c: narrowest range wins within a prefix)--> spans --(classes.c: sweep over the ports)--> classes
 * --(tree.c)--> nodes
 */

#include "image.h"

/* Ports of one prefix that have this word. Spans of the same prefix do not overlap. */
struct span {
	uint32_t prefix; /* index into `prefixes` of the table */
	uint32_t word;
	uint16_t first, last;
};

/* From the first to the last; none if the last is below the first */
struct ports {
	uint16_t first, last;
};

#define PORTS_ALL ((struct ports){.first = 0, .last = USHER_PORTS - 1})
#define PORTS_NONE ((struct ports){.first = USHER_PORTS - 1, .last = 0})

struct table {
	unsigned index;	    /* USHER_TABLE_* */
	struct ports ports; /* to be compiled; all spans are within them */
	uint8_t family, protocol;
	struct prefix *prefixes; /* distinct, sorted as for tree_add(); length 0 means any address */
	size_t n_prefixes;
	struct span *spans;
	size_t n_spans;
};

void table_deinit(struct table *table);

/*
 * table_fill_spans() - the matches of a rule set for one table
 * @table: index, family, protocol and ports are set, the rest is empty
 * @words: the word of each rule in this table
 *
 * Return: 0, IMAGE_CONFLICT, or -ENOMEM.
 */
int table_fill_spans(
	const struct rule_set *set, const uint32_t *words, struct table *table, struct problems *problems);

/*
 * image_add_table() - write the ports of a table, and the classes, prefixes and nodes that they need
 *
 * Reuses classes of the table that are in the image already.
 *
 * Return: 0, IMAGE_TOO_LARGE without a problem (more than IMAGE_PREFIXES_MAX prefixes), or -ENOMEM.
 */
int image_add_table(struct image *image, const struct table *table);

/* After this many conflicts the rest is not reported. */
#define IMAGE_PROBLEMS_MAX 100U
