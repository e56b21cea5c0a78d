/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Trees of address ranges, in which the program looks addresses up
 *
 * The prefixes of a class become ranges that do not overlap, each with the word of the longest prefix that contains it.
 * The ranges become nodes of USHER_NODE_RANGES (struct usher_node in bpf/usher-bpf.h). An address is looked up 32 bits
 * at a time: IPv6 prefixes longer than 32 bits are in a tree of their own, below the range of their first 32 bits, and
 * so on.
 *
 * The height of a tree depends only on the number of prefixes: it is the logarithm to base 8 of twice that number. It
 * does not depend on their lengths or on where they are.
 */

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-bpf.h"
#include "../util/prefix.h"

/*
 * The words of an image, before the data plane gives seats and nodes their lasting numbers: 0; TREE_WORD_NODE with the
 * number of a node; or a seat.
 */
#define TREE_WORD_NODE 0x80000000U

struct tree_prefix {
	struct prefix prefix;
	uint32_t word; /* a seat */
};

/* The nodes of all trees of an image. All zero is empty; the owner frees `nodes`. */
struct tree_nodes {
	struct usher_node *nodes;
	size_t n;
};

/*
 * tree_add() - make the tree of some prefixes
 * @prefixes: of one family, each once, sorted by address and then by length; at least one
 * @ret:      TREE_WORD_NODE with the number of the first node
 *
 * Return: 0 or -ENOMEM; on failure, nodes may have been added to which nothing leads.
 */
int tree_add(struct tree_nodes *nodes, const struct tree_prefix *prefixes, size_t n, uint32_t *ret);

/*
 * tree_lookup() - what the program finds
 * @word:    of a port: from tree_add(); any other word is returned as it is
 * @address: network order, 4 or 16 bytes as the prefixes of the tree
 *
 * Return: the word of the longest prefix that contains the address, or 0.
 */
uint32_t tree_lookup(const struct tree_nodes *nodes, uint32_t word, const uint8_t *address);
