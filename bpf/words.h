/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * Finding the rule for a packet: from its port to a word, and from there through the ranges of addresses
 *
 * All of this belongs to a generation and is written once, before the program becomes current. Nothing is put on the
 * stack; usher-bpf.h, "The word in the port table", says why.
 */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "usher-bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

__u32 ports[1 + USHER_TABLES * USHER_PORTS]; /* [0] is not used: port_word() says why */

const volatile __u32 first_node = 1;
const volatile __u32 no_seat = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* written as a whole */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usher_node);
} nodes SEC(".maps");

/* Clang merges the IPv4 and IPv6 loads of the context into one at a computed offset, which the verifier refuses. */
#define keep_apart() asm volatile("" ::: "memory")

/*
 * The index in the port table. Bits tell the values apart, not comparisons: without CAP_PERFMON the verifier refuses a
 * pointer to which different paths add different constants.
 */
static __always_inline __u32 index_of(__u32 family, __u32 protocol, __u32 port)
{
	__u32 index = (family >> 2 & 2) | (protocol >> 4 & 1);

	_Static_assert((AF_INET & 8) == 0 && (AF_INET6 & 8) != 0, "bit 3 tells the families apart");
	_Static_assert((IPPROTO_TCP & 16) == 0 && (IPPROTO_UDP & 16) != 0, "bit 4 tells the protocols apart");
	index = index << 16 | port;
	asm volatile("" : "+r"(index)); /* clang knows that the mask changes nothing; Linux 6.1 does not */
	return index & (USHER_TABLES * USHER_PORTS - 1);
}

/*
 * Where the verifier of Linux 6.18 follows speculative execution, it loses the bounds of a pointer to which a variable
 * was added. It would then make the processor wait before each lookup that has the pointer as its key. Adding a
 * constant makes the verifier compute the bounds again.
 */
static __always_inline const volatile __u32 *port_word(struct bpf_sk_lookup *ctx)
{
	const volatile __u32 *word = &ports[index_of(ctx->family, ctx->protocol, ctx->local_port)];

	asm volatile("%0 += 4" : "+r"(word));
	return word;
}

/* 1 if this start is below @limit. Without a jump, as the processor could not predict the range of an address. */
static __always_inline __u64 is_below(__u32 start, __u64 limit)
{
	__u64 difference = start - limit;

	asm volatile("" : "+r"(difference)); /* otherwise clang makes it a jump */
	return difference >> 63;
}

/* How many of two. Otherwise clang would add them one after the other, each waiting for the one before. */
static __always_inline __u64 are_below(__u32 first, __u32 second, __u64 limit)
{
	__u64 n = is_below(first, limit) + is_below(second, limit);

	asm volatile("" : "+r"(n));
	return n;
}

/*
 * Look 32 bits of an address up in the tree that @word names. Unrolled: for a loader without CAP_PERFMON, the verifier
 * assumes that the processor may speculatively take any jump, also one back to yet another round of a loop. Inline:
 * where the processor must not predict returns, one return costs as much as a node.
 *
 * Value: where the word is that was found: a seat, 0, or a node for the next 32 bits. It is 0 too if there is no such
 * node or the tree is too high, neither of which can happen.
 */
static __always_inline const volatile __u32 *search(const volatile __u32 *word, __u64 value)
{
	const __u64 limit = value + 1;

#pragma clang loop unroll(full)
	for (__u32 level = 0; level < USHER_LEVELS_MAX; level++) {
		const struct usher_node *node = bpf_map_lookup_elem(&nodes, (const void *)word);
		__u64 range;

		if (!node)
			break;
		range = are_below(node->starts[0], node->starts[1], limit) +
			are_below(node->starts[2], node->starts[3], limit) +
			(are_below(node->starts[4], node->starts[5], limit) +
				is_below(node->starts[6], limit));
		word = &node->words[range];
		if (*word < first_node || node->next >> range & 1)
			return word;
	}
	return &no_seat;
}

static __always_inline const volatile __u32 *search_address(
	struct bpf_sk_lookup *ctx, const volatile __u32 *word)
{
	if (ctx->family == AF_INET)
		return search(word, bpf_ntohl(ctx->local_ip4));
	keep_apart();
#pragma clang loop unroll(full)
	for (__u32 step = 0; step < USHER_STEPS_MAX; step++) {
		word = search(word, bpf_ntohl(ctx->local_ip6[step]));
		if (*word < first_node)
			return word;
	}
	return &no_seat; /* cannot happen: an address has no more bits */
}
