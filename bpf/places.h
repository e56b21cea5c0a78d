/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * The sockets of a seat, one after the other, until one takes the packet
 *
 * A place that is a group has all of its members tried before the next place: while one of them lives, the group serves.
 */

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "usher-bpf.h"

#define EEXIST 17
#define ENODEV 19

/* Registry: pinned, shared by all generations. */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, USHER_SEATS_MAX *USHER_PLACES_MAX);
	__type(key, struct usher_place_key);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, struct usher_members);
} members SEC(".maps");

/* Not used here: what the broker knows of groups; it is pinned with the others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_GROUPS_MAX);
	__type(key, struct usher_place_key);
	__type(value, struct usher_group);
} groups SEC(".maps");

/*
 * Keys are put on the stack as whole 64-bit words: without CAP_PERFMON, the verifier of Linux 6.1 takes a store to the
 * second half of a word for an attempt to corrupt the first.
 */
static __always_inline __u64 word_of(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)second << 32 | first;
#else
	return (__u64)first << 32 | second;
#endif
}

/*
 * Consumes the reference to `sk`, which must not be NULL.
 *
 * A socket that is bound to a device takes packets of that device only: bpf_sk_assign() does not ask, but the kernel's
 * own lookup does, because the answer would leave by the other device. The device of a VRF's packets is the VRF. A
 * question (@flags) may leave the device open: then every socket takes it.
 */
static __always_inline long assign(struct bpf_sk_lookup *ctx, struct bpf_sock *sk, __u64 flags, __u32 device)
{
	long error = -ENODEV;

	if (!sk->bound_dev_if || sk->bound_dev_if == device || (flags && !device))
		error = bpf_sk_assign(ctx, sk, flags);
	bpf_sk_release(sk);
	return error;
}

/* A search through the sockets of a seat, in its order. */
struct search {
	struct bpf_sk_lookup *ctx;
	struct usher_members *members; /* of a seat with groups */
	__u64 order;		       /* of another one */
	__u64 seat;
	__u64 flags;  /* of bpf_sk_assign(): 0 for a real packet */
	__u64 device; /* by which it comes */
	__u64 found;
	long error; /* of the last socket that could not be assigned; 0 when there was none */
};

static __always_inline long try_socket(struct search *search, __u32 slot)
{
	__u64 key = word_of((__u32)search->seat, slot);
	struct bpf_sock *sk = bpf_map_lookup_elem(&sockets, &key);

	if (!sk)
		return 0; /* closed: the next one serves */
	search->error = assign(search->ctx, sk, search->flags, (__u32)search->device);
	search->found = !search->error;
	return search->found || search->error == -EEXIST;
}

/*
 * Both are called by bpf_loop(): the verifier checks them once. For a loader without CAP_PERFMON, the unrolled places
 * would exceed the verifier's limits.
 */

static long try_place(__u32 i, void *data)
{
	struct search *search = data;
	__u32 slot = (__u32)(search->order & 0xff) - 1;

	(void)i;
	if (!(search->order & 0xff))
		return 1; /* no more places */
	search->order >>= 8;
	return try_socket(search, slot);
}

static long try_member(__u32 i, void *data)
{
	struct search *search = data;
	__u32 slot = search->members->slots[i & (USHER_LIST_MAX - 1)];

	return slot ? try_socket(search, slot - 1) : 1;
}

static __always_inline void try_all(struct search *search, struct usher_seat *seat)
{
	__u32 number = (__u32)search->seat;

	search->order = seat->order;
	search->members = seat->groups ? bpf_map_lookup_elem(&members, &number) : 0;
	if (search->members)
		bpf_loop(USHER_LIST_MAX, try_member, search, 0);
	else
		bpf_loop(USHER_PLACES_MAX, try_place, search, 0);
}
