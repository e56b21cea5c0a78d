/* SPDX-License-Identifier: BSD-3-Clause */

/* What an earlier broker left in the maps, which somebody else may have written to. */

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/name.h"
#include "group.h"
#include "order.h"
#include "registry_groups.h"
#include "registry_walk.h"

static bool is_whole(const struct usher_seat *seat)
{
	return seat->used == 1 && (seat->protocol == IPPROTO_TCP || seat->protocol == IPPROTO_UDP) &&
	       (seat->family == AF_INET || seat->family == AF_INET6) &&
	       memchr(seat->name, '\0', sizeof(seat->name)) && name_is_valid(seat->name);
}

static void drop_seat(struct registry *registry, uint32_t seat)
{
	registry->damaged = true;
	registry_free_seat(registry, seat);
}

/* What is not as a broker writes it is not read again: everything else may rely on it. */
static void repair(struct registry *registry)
{
	registry_foreach_seat (registry, number) {
		struct usher_seat *seat = &registry->seats[number];
		uint64_t order = order_repair(seat->order);

		if (!is_whole(seat)) {
			drop_seat(registry, number);
			continue;
		}
		registry->damaged = registry->damaged || order_length(order) != order_length(seat->order);
		seat->order = order;
	}
}

static bool is_same(const struct usher_seat *a, const struct usher_seat *b)
{
	return a->protocol == b->protocol && a->family == b->family && !strcmp(a->name, b->name);
}

/* Rules would lead to one of two seats for the same. */
static int drop_duplicates(struct registry *registry)
{
	_cleanup_free_ uint32_t *seats = NULL;
	size_t n, last = 0;
	int r = registry_sort_seats(registry, NULL, &seats, &n);

	if (r < 0)
		return r;
	for (size_t i = 1; i < n; i++)
		if (is_same(&registry->seats[seats[i]], &registry->seats[seats[last]]))
			drop_seat(registry, seats[i]);
		else
			last = i;
	return 0;
}

/*
 * The members of a place: sockets that live and that the kernel has in one group, as far as is known of them. A broker of
 * a version that knows no groups may have used the slot again, and has left the record and the mark as they were.
 */
static void find_members(
	const struct registry *registry, struct usher_place_key key, struct usher_group *group)
{
	__u64 candidates[USHER_GROUP_WORDS];
	struct usher_place first, place;
	const uint32_t slot = key.slot;
	bool found = false;
	uint64_t cookie;

	memcpy(candidates, group->members, sizeof(candidates));
	memset(group->members, 0, sizeof(group->members));
	group_foreach (candidates, member) {
		key.slot = group_key(slot, member);
		if (!registry_walk_cookie(registry, &key, &cookie))
			continue;
		registry_walk_recall(registry, &key, &place);
		if (found ? place.cookie != cookie || !group_is_same(&first, &place)
			  : member && place.cookie != cookie)
			continue;
		if (!found)
			first = place;
		found = true;
		group_add(group->members, member);
	}
	memcpy(group->taken, group->members, sizeof(group->taken));
}

static void repair_place(struct registry *registry, uint32_t seat, uint32_t slot)
{
	bool marked = registry->seats[seat].groups >> slot & 1;
	struct usher_group group;

	if (!registry_groups_read(registry, seat, slot, &group)) {
		if (!marked)
			return;
		/* the pin of `groups` was deleted: look for every member */
		group = (struct usher_group){.kind = USHER_KIND_UNKNOWN};
		memset(group.members, 0xff, sizeof(group.members));
	} else if (!marked) {
		memset(group.members, 0, sizeof(group.members));
		group_add(group.members, 0);
	}
	if (group.kind > USHER_KIND_IPV6_ONLY)
		group.kind = USHER_KIND_UNKNOWN;
	find_members(registry, (struct usher_place_key){.seat = seat, .slot = slot}, &group);
	if (!group_count(group.members))
		registry->seats[seat].order = order_without(registry->seats[seat].order, slot);
	if (registry_groups_write(registry, seat, slot, &group) < 0)
		registry->damaged = true;
}

static void forget_group(struct registry *registry, uint32_t seat, uint32_t slot)
{
	const struct usher_group none = {.kind = USHER_KIND_UNKNOWN};

	(void)registry_groups_write(registry, seat, slot, &none);
}

static void repair_places(struct registry *registry, uint32_t seat)
{
	const uint64_t order = registry->seats[seat].order;

	for (uint32_t slot = 0; slot < USHER_SLOTS_MAX; slot++)
		if (order_has(order, slot))
			repair_place(registry, seat, slot);
		else
			forget_group(registry, seat, slot);
	registry_groups_publish(registry, seat);
}

static bool is_in_order(const struct registry *registry, const struct usher_place_key *key)
{
	return key->seat && key->seat < USHER_SEATS_MAX && registry->seats[key->seat].used &&
	       order_has(registry->seats[key->seat].order, group_slot(key->slot));
}

static bool is_committed(const struct registry *registry, const struct usher_place_key *key)
{
	__u64 members[USHER_GROUP_WORDS];

	if (!is_in_order(registry, key) || group_number(key->slot) >= USHER_MEMBERS_MAX)
		return false;
	registry_groups_members(registry, key->seat, group_slot(key->slot), members);
	return group_has(members, group_number(key->slot));
}

static bool is_of_place(const struct registry *registry, const struct usher_place_key *key)
{
	return is_in_order(registry, key) && !group_number(key->slot);
}

/* Removes what a broker left that died between stage and commit, or between the two steps of a removal. */
static int sweep(struct registry *registry, enum registry_map map, size_t max,
	bool (*is_ours)(const struct registry *registry, const struct usher_place_key *key))
{
	_cleanup_free_ struct usher_place_key *keys = calloc(max, sizeof(*keys));
	const int fd = registry->maps[map];
	size_t n = 0;

	if (!keys)
		return -ENOMEM;
	/* read all keys before the first change: iteration starts over at a key that has gone */
	while (n < max && bpf_map_get_next_key(fd, n ? &keys[n - 1] : NULL, &keys[n]) == 0)
		n++;
	for (size_t i = 0; i < n; i++)
		if (!is_ours(registry, &keys[i]))
			(void)bpf_map_delete_elem(fd, &keys[i]);
	return 0;
}

static int sweep_all(struct registry *registry)
{
	const size_t max = USHER_SEATS_MAX * USHER_PLACES_MAX;
	int r = sweep(registry, REGISTRY_GROUPS, USHER_GROUPS_MAX, is_of_place);

	if (!r)
		r = sweep(registry, REGISTRY_SOCKETS, max, is_committed);
	return r ? r : sweep(registry, REGISTRY_PLACES, max, is_committed);
}

int registry_repair(struct registry *registry)
{
	int r;

	repair(registry);
	r = drop_duplicates(registry);
	if (r < 0)
		return r;
	registry_foreach_seat (registry, seat)
		repair_places(registry, seat);
	r = sweep_all(registry);
	if (r < 0)
		return r;
	registry_foreach_seat (registry, seat) {
		(void)registry_reap(registry, seat, NULL);
		registry_check_front(registry, seat);
		registry_count(registry, seat);
	}
	return 0;
}
