/* SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <arpa/inet.h>
#include <string.h>

#include "../util/array.h"

#define STEP_BITS 32U
#define STEP_LAST UINT32_MAX
#define LENGTHS_MAX (STEP_BITS + 1) /* prefixes that are nested in one step of 32 bits */

/* From this value on, up to where the next range starts */
struct range {
	uint32_t start;
	uint32_t word;
	bool next; /* the word is a node for the next 32 bits */
};

/* A stack of lists: below the ranges of one tree are those of the unfinished trees that lead to it. */
struct builder {
	struct tree_nodes *nodes;
	const struct tree_prefix *prefixes;
	struct range *ranges;
	size_t n_ranges;
};

/* A prefix whose end has not been reached */
struct open_prefix {
	uint32_t last;
	uint32_t word;
};

static uint32_t step_value(const struct prefix *prefix, unsigned step)
{
	uint32_t value;

	memcpy(&value, prefix->address + step * sizeof(value), sizeof(value));
	return ntohl(value);
}

static void add_range(struct builder *builder, size_t base, struct range range)
{
	struct range *end = builder->ranges + builder->n_ranges, *list = builder->ranges + base;

	if (end > list && end[-1].start == range.start)
		end--; /* a longer prefix starts where a shorter one does, or a prefix starts where another ends */
	if (end == list || end[-1].word != range.word)
		*end++ = range;
	builder->n_ranges = (size_t)(end - builder->ranges);
}

static int add_node(struct builder *builder, const struct range *ranges, size_t n, uint32_t *ret)
{
	struct tree_nodes *nodes = builder->nodes;
	struct usher_node *node;

	if (ARRAY_RESERVE(nodes->nodes, nodes->n) < 0)
		return -ENOMEM;
	node = &nodes->nodes[nodes->n];
	*node = (struct usher_node){0};
	for (size_t i = 0; i < USHER_NODE_RANGES; i++) {
		const struct range *range = &ranges[i < n ? i : n - 1];

		if (i)
			node->starts[i - 1] = i < n ? range->start : STEP_LAST;
		node->words[i] = range->word;
		node->next |= (uint32_t)range->next << i;
	}
	*ret = TREE_WORD_NODE | (uint32_t)nodes->n++;
	return 0;
}

/* Replaces the ranges from @base on by nodes, and these by nodes above them, until there is one. */
static int add_nodes(struct builder *builder, size_t base, uint32_t *ret)
{
	struct range *ranges = builder->ranges + base;
	size_t n = builder->n_ranges - base, n_above;

	do {
		n_above = 0;
		for (size_t i = 0; i < n; i += USHER_NODE_RANGES) {
			size_t left = n - i;
			struct range above = {.start = ranges[i].start};

			if (add_node(builder, &ranges[i], left < USHER_NODE_RANGES ? left : USHER_NODE_RANGES,
				    &above.word) < 0)
				return -ENOMEM;
			ranges[n_above++] = above;
		}
		n = n_above;
	} while (n > 1);
	*ret = ranges[0].word;
	builder->n_ranges = base;
	return 0;
}

/* The range after the end of an open prefix: it belongs to the one before it on the stack, which contains it */
static struct range after(const struct open_prefix *open)
{
	return (struct range){.start = open->last + 1, .word = open[-1].word};
}

/*
 * One step of 32 bits, for the prefixes from @first to @end, which have the same bits before these. All other values
 * get the word @outside.
 */
static int add_step(
	struct builder *builder, size_t first, size_t end, unsigned step, uint32_t outside, uint32_t *ret)
{
	struct open_prefix open[LENGTHS_MAX + 1] = {{.last = STEP_LAST, .word = outside}};
	size_t base = builder->n_ranges, n_open = 1;
	unsigned bits = (step + 1) * STEP_BITS;

	add_range(builder, base, (struct range){.word = outside});
	for (size_t i = first; i < end;) {
		const struct tree_prefix *entry = &builder->prefixes[i];
		struct range range = {.start = step_value(&entry->prefix, step), .word = entry->word};

		for (; open[n_open - 1].last < range.start; n_open--)
			add_range(builder, base, after(&open[n_open - 1]));
		if (entry->prefix.length <= bits) {
			uint64_t size = UINT64_C(1) << (bits - entry->prefix.length);

			open[n_open++] = (struct open_prefix){
				.last = (uint32_t)(range.start + size - 1), .word = entry->word};
			add_range(builder, base, range);
			i++;
		} else {
			/* prefixes that continue after these bits are neighbours */
			struct range rest = {.start = range.start + 1, .word = open[n_open - 1].word};
			size_t same = i + 1;

			while (same < end && step_value(&builder->prefixes[same].prefix, step) == range.start)
				same++;
			if (add_step(builder, i, same, step + 1, rest.word, &range.word) < 0)
				return -ENOMEM;
			range.next = true;
			add_range(builder, base, range);
			if (range.start != STEP_LAST)
				add_range(builder, base, rest);
			i = same;
		}
	}
	for (; n_open > 1 && open[n_open - 1].last != STEP_LAST; n_open--)
		add_range(builder, base, after(&open[n_open - 1]));
	return add_nodes(builder, base, ret);
}

int tree_add(struct tree_nodes *nodes, const struct tree_prefix *prefixes, size_t n, uint32_t *ret)
{
	/* each prefix starts one range and ends one, in one of the steps; each step begins with one more */
	_cleanup_free_ struct range *ranges = calloc(2 * n + USHER_STEPS_MAX, sizeof(*ranges));
	struct builder builder = {.nodes = nodes, .prefixes = prefixes, .ranges = ranges};

	return ranges ? add_step(&builder, 0, n, 0, 0, ret) : -ENOMEM;
}

uint32_t tree_lookup(const struct tree_nodes *nodes, uint32_t word, const uint8_t *address)
{
	uint32_t value;

	memcpy(&value, address, sizeof(value));
	while (word & TREE_WORD_NODE) {
		const struct usher_node *node = &nodes->nodes[word & ~TREE_WORD_NODE];
		size_t i = 0;

		for (size_t k = 0; k < USHER_NODE_RANGES - 1; k++) /* no early exit, as in the program */
			i += node->starts[k] <= ntohl(value);
		word = node->words[i];
		if (node->next >> i & 1) {
			address += sizeof(value);
			memcpy(&value, address, sizeof(value));
		}
	}
	return word;
}
