/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * Rules with Order=before-wildcard and Order=last: whether a packet is left to a socket of somebody else
 *
 * Only usher_dispatch_later and usher_question_later use this; they are loaded when a rule has a later order.
 */

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "obstacle_table.h"
#include "usher-bpf.h"
#include "words.h"

/* Generation: by seat. [0] is not used: port_word() says why. */
struct usher_later laters[1 + USHER_SEATS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} yielded SEC(".maps");

/* What a word of a seat with a later order names; the seat in it is the key of the other maps. */
static __always_inline struct usher_later *find_later(__u32 word)
{
	struct usher_later *later;

	asm volatile("" : "+r"(word));
	later = &laters[word & (USHER_SEATS_MAX - 1)];
	asm volatile("%0 += %1" : "+r"(later) : "i"(sizeof(*later)));
	return later;
}

static __always_inline const volatile __u64 *port_counts(
	const struct usher_obstacle_counts *counts, __u32 where)
{
	const volatile __u64 *cell = (const volatile __u64 *)&counts->ports.cells[where];

	asm volatile("%0 += 8" : "+r"(cell));
	return cell;
}

/*
 * How many sockets are bound to this address and device? Without a lock.
 *
 * This function and are_own() are not static: the verifier then looks at each once, and not in each place from which it
 * is called, which takes Linux 6.1 too long.
 */
__noinline __u64 count_at(__u64 a, __u64 b, __u64 c)
{
	const struct usher_obstacle_counts *counts = find_counts();
	const struct usher_obstacle_cell *base;
	__u64 n = 0;

	if (!counts)
		return 0;
	base = &counts->table.cells[obstacle_index(obstacle_hash(counts, a, b, c))];
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < USHER_OBSTACLE_WINDOW; i++) {
		const volatile __u64 *word = (const volatile __u64 *)&base[i];

		if (!((word[0] ^ a) | (word[1] ^ b) | (word[2] ^ c)))
			n |= word[3];
	}
	return n;
}

/* May a socket be bound to this address, and no device? Nothing here is put on the stack. */
static __always_inline bool may_be_at(struct bpf_sk_lookup *ctx, const struct usher_obstacle_counts *counts)
{
	const __u64 *tags = counts->table.tags;
	__u64 a, b = 0, hash;

	if (ctx->family == AF_INET) {
		a = word_of(ctx->local_ip4, 0);
	} else {
		keep_apart();
		a = word_of(ctx->local_ip6[0], ctx->local_ip6[1]);
		b = word_of(ctx->local_ip6[2], ctx->local_ip6[3]);
	}
	hash = obstacle_hash(
		counts, a, b, obstacle_word(index_of(ctx->family, ctx->protocol, ctx->local_port), 0));
	/* otherwise clang adds the offset of the tags later, and the verifier makes the processor wait: port_word() */
	asm volatile("" : "+r"(tags));
	tags += obstacle_index(hash);
	asm volatile("%0 += 8" : "+r"(tags));
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < USHER_OBSTACLE_WINDOW; i++)
		if (((const volatile __u64 *)tags)[i] == hash)
			return true;
	return false;
}

/*
 * Is there surely no obstacle? The usual cases, in which find_obstacle() is not called: the verifier would make the
 * processor wait for what it puts on the stack. @on_port: its counts, not zero.
 */
static __always_inline bool is_clear(struct bpf_sk_lookup *ctx, const struct usher_obstacle_counts *counts,
	const struct usher_later *later, __u64 on_port)
{
	if (on_port >> USHER_OBSTACLE_LOST_SHIFT &&
		(later->order == USHER_ORDER_LAST ||
			on_port >> USHER_OBSTACLE_LOST_SHIFT & USHER_OBSTACLE_LOST_MASK))
		return false;
	if (!(on_port & USHER_OBSTACLE_EXACT_MASK))
		return true;
	return !*(const volatile __u32 *)&counts->table.n_devices && !may_be_at(ctx, counts);
}

/* A search for the sockets of a seat that are counted at a tuple */
struct own {
	__u64 order, seat;
	__u64 a, b, c;
	__u64 n;
};

static __always_inline bool is_counted_at(const struct usher_obstacle *obstacle, const struct own *own)
{
	__u64 c = obstacle_word(obstacle->tuple.where, obstacle->tuple.device);

	if (obstacle->tuple.address[0] != own->a || obstacle->tuple.address[1] != own->b)
		return false;
	if (obstacle->flags & USHER_OBSTACLE_BOTH && c != own->c)
		c = obstacle_word(obstacle->tuple.where & ~(2U << 16), obstacle->tuple.device);
	return c == own->c;
}

/* Called by bpf_loop() */
static long count_place(__u32 i, void *data)
{
	struct own *own = data;
	struct usher_obstacle *obstacle;
	struct usher_place *place;
	__u64 key; /* struct usher_place_key */

	(void)i;
	if (!(own->order & 0xff))
		return 1; /* no more places */
	key = word_of((__u32)own->seat, (__u32)(own->order & 0xff) - 1);
	own->order >>= 8;
	place = bpf_map_lookup_elem(&places, &key);
	if (!place)
		return 0;
	obstacle = bpf_map_lookup_elem(&obstacles, &place->cookie);
	if (obstacle && is_counted_at(obstacle, own))
		own->n++;
	return 0;
}

/* Are all that are counted there sockets of the seat? Those are no obstacle to it. */
__noinline int are_own(__u32 seat, __u64 a, __u64 b, __u64 c, __u64 n)
{
	struct usher_seat *data = bpf_map_lookup_elem(&seats, &seat);
	struct own own = {.seat = seat, .a = a, .b = b, .c = c};

	if (!data || !data->order)
		return 0;
	own.order = data->order;
	bpf_loop(USHER_PLACES_MAX, count_place, &own, 0);
	return own.n >= n;
}

/* @on_port: the counts of the port, not zero. Return: enum usher_obstacle_kind. */
static __noinline int find_obstacle(
	struct bpf_sk_lookup *ctx, const struct usher_later *later, __u64 on_port, __u32 device)
{
	const struct usher_obstacle_counts *counts = find_counts();
	const __u32 where = index_of(ctx->family, ctx->protocol, ctx->local_port);
	const bool is_last = later->order == USHER_ORDER_LAST;
	const __u32 seat = later->seat;
	__u64 a, b = 0, c = obstacle_word(where, 0), n;

	if (!counts)
		return USHER_OBSTACLE_NONE;
	if (on_port >> USHER_OBSTACLE_LOST_SHIFT & USHER_OBSTACLE_LOST_MASK)
		return USHER_OBSTACLE_UNKNOWN;
	n = on_port >> USHER_OBSTACLE_WILD_SHIFT;
	if (is_last && n && !are_own(seat, 0, 0, c, n))
		return USHER_OBSTACLE_WILDCARD;
	if (!(on_port & USHER_OBSTACLE_EXACT_MASK))
		return USHER_OBSTACLE_NONE;
	if (ctx->family == AF_INET) {
		a = word_of(ctx->local_ip4, 0);
	} else {
		keep_apart();
		a = word_of(ctx->local_ip6[0], ctx->local_ip6[1]);
		b = word_of(ctx->local_ip6[2], ctx->local_ip6[3]);
	}
	n = count_at(a, b, c);
	if (n && !are_own(seat, a, b, c, n))
		return USHER_OBSTACLE_ADDRESS;
	if (!*(const volatile __u32 *)&counts->table.n_devices || !device)
		return USHER_OBSTACLE_NONE;
	c = obstacle_word(where, device);
	n = count_at(a, b, c);
	if (n && !are_own(seat, a, b, c, n))
		return USHER_OBSTACLE_ADDRESS_DEVICE;
	n = is_last ? count_at(0, 0, c) : 0;
	return n && !are_own(seat, 0, 0, c, n) ? USHER_OBSTACLE_DEVICE : USHER_OBSTACLE_NONE;
}
