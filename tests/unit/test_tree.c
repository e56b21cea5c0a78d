/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Trees of address ranges, compared with a walk through the prefixes
 *
 * The addresses are those where something can go wrong: the first and the last of each prefix, and their neighbours.
 * USHER_SEED repeats a run.
 */

#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "image/tree.h"
#include "reference.h"

#define PREFIXES_MAX 400U

static uint64_t state;

static uint32_t draw(uint32_t limit)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((state >> 33) % limit);
}

static int compare(const void *a, const void *b)
{
	const struct prefix *x = &((const struct tree_prefix *)a)->prefix,
			    *y = &((const struct tree_prefix *)b)->prefix;
	int order = memcmp(x->address, y->address, sizeof(x->address));

	return order ? order : (int)x->length - (int)y->length;
}

static void set_length(struct prefix *prefix, unsigned length)
{
	prefix->length = (uint8_t)length;
	for (unsigned bit = length; bit < 128; bit++)
		prefix->address[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

/* Few bits differ, so that prefixes are nested, touch, and end at the same address. */
static size_t draw_prefixes(struct tree_prefix *prefixes, int family)
{
	unsigned bits = family == AF_INET ? 32 : 128, n_words = 1 + draw(4);
	size_t wanted = 1 + draw(draw(4) ? 20 : PREFIXES_MAX), n = 0;
	uint8_t common[16];

	for (size_t i = 0; i < sizeof(common); i++)
		common[i] = (uint8_t)(draw(3) ? draw(256) : draw(2) * 0xff);
	for (size_t i = 0; i < sizeof(common); i += 4) /* the ends of a step of 32 bits */
		if (!draw(3))
			memset(common + i, draw(2) * 0xff, 4);
	for (size_t i = 0; i < wanted; i++) {
		struct tree_prefix *entry = &prefixes[i];
		unsigned length = draw(3) ? draw(bits + 1) : bits - draw(2), differ = draw(4);

		*entry = (struct tree_prefix){.prefix.family = (uint8_t)family, .word = 1 + draw(n_words)};
		memcpy(entry->prefix.address, common, bits / 8);
		for (unsigned k = 0; k < differ; k++)
			entry->prefix.address[draw(bits / 8)] ^= (uint8_t)(0x80U >> draw(8));
		set_length(&entry->prefix, length);
	}
	qsort(prefixes, wanted, sizeof(*prefixes), compare);
	for (size_t i = 0; i < wanted; i++)
		if (!n || compare(&prefixes[n - 1], &prefixes[i]) != 0)
			prefixes[n++] = prefixes[i];
	return n;
}

static uint32_t expected(const struct tree_prefix *prefixes, size_t n, int family, const uint8_t *address)
{
	const struct tree_prefix *longest = NULL;

	for (size_t i = 0; i < n; i++)
		if (prefix_contains(&prefixes[i].prefix, family, address) &&
			(!longest || prefixes[i].prefix.length > longest->prefix.length))
			longest = &prefixes[i];
	return longest ? longest->word : 0;
}

/* One more or one less; the last address is followed by the first. */
static void step(uint8_t *address, size_t size, bool up)
{
	for (size_t i = size; i-- > 0;) {
		address[i] = (uint8_t)(address[i] + (up ? 1 : -1));
		if (address[i] != (up ? 0 : 0xff))
			break;
	}
}

static void ask(const struct tree_nodes *nodes, uint32_t word, const struct tree_prefix *prefixes, size_t n,
	const uint8_t *address)
{
	int family = prefixes->prefix.family;
	uint32_t found = tree_lookup(nodes, word, address), wanted = expected(prefixes, n, family, address);
	char text[PREFIX_TEXT_MAX];

	if (found == wanted)
		return;
	for (size_t i = 0; i < n; i++)
		print_message("# %s: %u\n", prefix_format(&prefixes[i].prefix, text), prefixes[i].word);
	fail_msg("%s: %u, not %u", address_format(family, address, text), found, wanted);
}

static void ask_around(const struct tree_nodes *nodes, uint32_t word, const struct tree_prefix *prefixes,
	size_t n, const struct prefix *prefix)
{
	size_t size = prefix->family == AF_INET ? 4 : 16;
	uint8_t address[16];

	memcpy(address, prefix->address, sizeof(address));
	ask(nodes, word, prefixes, n, address);
	step(address, size, false);
	ask(nodes, word, prefixes, n, address);
	memcpy(address, prefix->address, sizeof(address));
	for (unsigned bit = prefix->length; bit < 8 * size; bit++)
		address[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
	ask(nodes, word, prefixes, n, address);
	step(address, size, true);
	ask(nodes, word, prefixes, n, address);
}

static void answers_as_a_walk(void **unused)
{
	static struct tree_prefix prefixes[PREFIXES_MAX];
	struct tree_nodes nodes = {0};
	uint64_t seed = reference_seed();

	(void)unused;
	for (unsigned round = 0; round < 4000; round++) {
		size_t n;
		uint32_t word;

		state = seed + round;
		n = draw_prefixes(prefixes, draw(2) ? AF_INET : AF_INET6);
		assert_int_equal(tree_add(&nodes, prefixes, n, &word), 0);
		assert_true(word & TREE_WORD_NODE);
		for (size_t i = 0; i < n; i++)
			ask_around(&nodes, word, prefixes, n, &prefixes[i].prefix);
	}
	free(nodes.nodes);
}

/* How many nodes the lookup of an address goes through */
static unsigned depth(const struct tree_nodes *nodes, uint32_t word, const uint8_t *address)
{
	unsigned n = 0;

	for (; word & TREE_WORD_NODE; n++) {
		const struct usher_node *node = &nodes->nodes[word & ~TREE_WORD_NODE];
		uint32_t value = (uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 |
				 (uint32_t)address[2] << 8 | address[3];
		size_t i = 0;

		while (i < USHER_NODE_RANGES - 1 && node->starts[i] <= value)
			i++;
		word = node->words[i];
		address += node->next >> i & 1 ? 4 : 0;
	}
	return n;
}

/* Nested prefixes of every length: the worst case for a trie */
static void length_costs_nothing(void **unused)
{
	struct tree_prefix prefixes[129] = {0};
	struct tree_nodes nodes = {0};
	uint32_t word;

	(void)unused;
	for (unsigned length = 0; length <= 128; length++) {
		prefixes[length].prefix.family = AF_INET6;
		prefixes[length].word = length + 1;
		memset(prefixes[length].prefix.address, 0xa5, 16);
		set_length(&prefixes[length].prefix, length);
	}
	qsort(prefixes, 129, sizeof(*prefixes), compare);
	assert_int_equal(tree_add(&nodes, prefixes, 129, &word), 0);
	assert_int_equal(tree_lookup(&nodes, word, (const uint8_t[16]){0xa5, 0xa5, 0xa5, 0xa4}), 32);
	assert_in_range(depth(&nodes, word, prefixes[128].prefix.address), 4, 4 * 3);
	free(nodes.nodes);
}

/* Neighbours that lead to the same name are one range, however they are divided: here 10.0.0.0/16 and the rest. */
static void what_is_alike_is_one_range(void **unused)
{
	static struct tree_prefix prefixes[2 * 65536];
	struct tree_nodes nodes = {0};
	size_t n = 0;
	uint32_t word;

	(void)unused;
	for (unsigned i = 0; i < 65536; i++)
		for (unsigned length = i % 2 ? 32 : 31; length <= 32; length++)
			prefixes[n++] = (struct tree_prefix){
				.prefix = {.family = AF_INET,
					.length = (uint8_t)length,
					.address = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}},
				.word = 1};
	assert_int_equal(tree_add(&nodes, prefixes, n, &word), 0);
	assert_int_equal(nodes.n, 1);
	assert_int_equal(tree_lookup(&nodes, word, (const uint8_t[4]){9, 255, 255, 255}), 0);
	assert_int_equal(tree_lookup(&nodes, word, (const uint8_t[4]){10, 0, 255, 255}), 1);
	assert_int_equal(tree_lookup(&nodes, word, (const uint8_t[4]){10, 1, 0, 0}), 0);
	free(nodes.nodes);
}

/* The largest trees: no higher than USHER_LEVELS_MAX, and as small as image.h promises */
static void two_million(void **unused)
{
	const size_t n = 2000000;
	struct tree_prefix *prefixes = calloc(n, sizeof(*prefixes));
	struct tree_nodes nodes = {0};
	uint32_t word;

	(void)unused;
	assert_non_null(prefixes);
	for (size_t i = 0; i < n; i++) {
		uint32_t value = (uint32_t)i * 1031;

		prefixes[i] = (struct tree_prefix){.prefix = {.family = AF_INET, .length = 32}, .word = 7};
		for (unsigned k = 0; k < 4; k++)
			prefixes[i].prefix.address[k] = (uint8_t)(value >> (24 - 8 * k));
	}
	assert_int_equal(tree_add(&nodes, prefixes, n, &word), 0);
	assert_int_equal(tree_lookup(&nodes, word, prefixes[n / 2].prefix.address), 7);
	assert_int_equal(tree_lookup(&nodes, word, (const uint8_t[4]){0, 0, 0, 1}), 0);
	assert_int_equal(depth(&nodes, word, prefixes[n / 2].prefix.address), USHER_LEVELS_MAX);
	assert_in_range(nodes.n * sizeof(*nodes.nodes), 32U << 20, 40U << 20);
	free(nodes.nodes);
	free(prefixes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_as_a_walk),
		cmocka_unit_test(length_costs_nothing),
		cmocka_unit_test(what_is_alike_is_one_range),
		cmocka_unit_test(two_million),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
