/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Trees of address ranges: what the program looks an address up in
 *
 * The prefixes of a class are turned into ranges that do not overlap, each with the word of the longest prefix that has
 * it, and these into nodes of USHER_NODE_RANGES, as struct usher_node of bpf/usher-bpf.h has it. An address is looked up
 * 32 bits at a time: of IPv6 prefixes, what is longer than 32 bits is in a tree of its own below the range of its first
 * 32 bits, and so on.
 *
 * How many nodes 32 bits lead through follows from the number of prefixes, the logarithm to base 8 of twice as many, and
 * neither from their lengths nor from how they lie.
 */

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-bpf.h"
#include "../util/prefix.h"

/*
 * The words of an image, before the data plane gives seats and nodes their lasting numbers: 0; TREE_WORD_NODE and the
 * number of a node; or a seat.
 */
#define TREE_WORD_NODE 0x80000000U

struct tree_prefix {
	struct prefix prefix;
	uint32_t word; /* a seat */
};

/* The nodes of all trees of an image. Empty is all zero; the owner frees `nodes`. */
struct tree_nodes {
	struct usher_node *nodes;
	size_t n;
};

/*
 * tree_add() - make the tree of some prefixes
 * @prefixes: of one family, each once, sorted by address, of one address by length; at least one
 * @ret:      TREE_WORD_NODE and the number of the first node
 *
 * Return: 0 or -ENOMEM; then nodes may have been added that nothing leads to.
 */
int tree_add(struct tree_nodes *nodes, const struct tree_prefix *prefixes, size_t n, uint32_t *ret);

/*
 * tree_lookup() - what the program finds
 * @word:    of a port: as tree_add() returned it, or what is returned as it is
 * @address: network order, 4 or 16 bytes as the prefixes of the tree
 *
 * Return: the word of the longest prefix that has the address, or 0.
 */
uint32_t tree_lookup(const struct tree_nodes *nodes, uint32_t word, const uint8_t *address);
