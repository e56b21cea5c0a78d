/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The members of a group: a set of numbers below USHER_MEMBERS_MAX, as bpf/usher-bpf.h describes it */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../bpf/usher-bpf.h"

static inline bool group_has(const __u64 *members, unsigned member)
{
	return members[member / 64] >> member % 64 & 1;
}

static inline void group_add(__u64 *members, unsigned member)
{
	members[member / 64] |= 1ULL << member % 64;
}

static inline void group_drop(__u64 *members, unsigned member)
{
	members[member / 64] &= ~(1ULL << member % 64);
}

static inline unsigned group_count(const __u64 *members)
{
	unsigned n = 0;

	for (unsigned i = 0; i < USHER_GROUP_WORDS; i++)
		n += (unsigned)__builtin_popcountll(members[i]);
	return n;
}

/* group_next() - the first member from this number on; USHER_MEMBERS_MAX: none */
static inline unsigned group_next(const __u64 *members, unsigned from)
{
	while (from < USHER_MEMBERS_MAX) {
		__u64 rest = members[from / 64] >> from % 64;

		if (rest)
			return from + (unsigned)__builtin_ctzll(rest);
		from = (from / 64 + 1) * 64;
	}
	return USHER_MEMBERS_MAX;
}

/* group_free() - the first number that is not in the set; USHER_MEMBERS_MAX: all are */
static inline unsigned group_free(const __u64 *members)
{
	unsigned member = 0;

	while (member < USHER_MEMBERS_MAX && group_has(members, member))
		member++;
	return member;
}

/* For the body of a loop over the members, which may drop the one it is at */
#define group_foreach(members, member)                                                                       \
	for (unsigned member = group_next((members), 0); member < USHER_MEMBERS_MAX;                         \
		member = group_next((members), member + 1))

/*
 * group_is_same() - whether the kernel has both sockets in one SO_REUSEPORT group, as far as their places tell
 *
 * It also asks for one owner and one kind (struct usher_group).
 */
static inline bool group_is_same(const struct usher_place *a, const struct usher_place *b)
{
	return a->flags & b->flags & USHER_PLACE_REUSEPORT && a->family == b->family && a->port == b->port &&
	       a->device == b->device && !memcmp(a->address, b->address, sizeof(a->address));
}

/* The slot and the member in a key */
static inline uint32_t group_slot(uint32_t key)
{
	return key & ((1U << USHER_SLOT_BITS) - 1);
}

static inline unsigned group_number(uint32_t key)
{
	return key >> USHER_SLOT_BITS;
}

static inline uint32_t group_key(uint32_t slot, unsigned member)
{
	return slot | member << USHER_SLOT_BITS;
}
