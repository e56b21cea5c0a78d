/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/* The counts of obstacles, as the dispatcher reads and the hooks change them: usher-obstacles.h */

#include <bpf/bpf_helpers.h>

#include "usher-obstacles.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usher_obstacle_counts);
} obstacle_counts SEC(".maps");

const volatile __u32 the_one = 0; /* key of an array of one; not on the stack */

/* NULL cannot happen, but the verifier does not know that. */
static __always_inline struct usher_obstacle_counts *find_counts(void)
{
	return bpf_map_lookup_elem(&obstacle_counts, (const void *)&the_one);
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_OBSTACLES_MAX);
	__type(key, __u64);
	__type(value, struct usher_obstacle);
} obstacles SEC(".maps");

/* The hash of a tuple, never 0. Users on the host choose addresses and ports, but do not know the seed. */
static __always_inline __u64 obstacle_hash(
	const struct usher_obstacle_counts *counts, __u64 a, __u64 b, __u64 c)
{
	const __u64 multiplier = 0x9fb21c651e98df25ULL;
	const volatile __u64 *seeds = counts->table.seeds;
	/* two multiplications at a time */
	__u64 h = (a ^ seeds[0]) * multiplier ^ (b ^ seeds[1]) * (multiplier ^ 0xf00);

	h ^= h >> 32;
	h = (h ^ c) * multiplier;
	return h | 1;
}

/* The first cell in which it may be */
static __always_inline __u32 obstacle_index(__u64 hash)
{
	__u64 index = hash >> 40;

	asm volatile("" : "+r"(index)); /* clang knows that a mask changes nothing; Linux 6.1 does not */
	return (__u32)index & (USHER_OBSTACLE_CELLS - 1);
}

/* Two halves in memory, as one word: those of an address, or (where, device) */
static __always_inline __u64 obstacle_word(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)second << 32 | first;
#else
	return (__u64)first << 32 | second;
#endif
}
