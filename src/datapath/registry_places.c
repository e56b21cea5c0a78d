/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "../util/address.h"
#include "../util/errno_name.h"
#include "../util/transport.h"
#include "group.h"
#include "order.h"
#include "registry_groups.h"
#include "registry_walk.h"

static void write_order(struct registry *registry, uint32_t seat, uint64_t order)
{
	__atomic_store_n(&registry->seats[seat].order, order, __ATOMIC_RELEASE);
}

static void forget(struct registry *registry, const struct usher_place_key *key)
{
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_SOCKETS], key);
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_PLACES], key);
}

/* Takes members out of a place, and the place out of the order with the last one. */
static void drop_members(struct registry *registry, uint32_t seat, uint32_t slot,
	const __u64 members[static USHER_GROUP_WORDS])
{
	struct usher_place_key key = {.seat = seat};
	struct usher_group group;
	bool grouped = registry_groups_read(registry, seat, slot, &group);

	for (unsigned i = 0; grouped && i < USHER_GROUP_WORDS; i++) {
		group.members[i] &= ~members[i];
		group.taken[i] &= ~members[i];
	}
	if (!grouped || !group_count(group.members))
		write_order(registry, seat, order_without(registry_walk_order(registry, seat), slot));
	if (grouped)
		(void)registry_groups_write(registry, seat, slot, &group);
	registry_groups_publish(registry, seat);
	group_foreach (members, member) {
		key.slot = group_key(slot, member);
		forget(registry, &key);
	}
}

/* Return: whether any is left */
static bool reap_place(
	struct registry *registry, uint32_t seat, uint32_t slot, bool serves, struct registry_reaped *reaped)
{
	__u64 members[USHER_GROUP_WORDS], closed[USHER_GROUP_WORDS] = {0};
	struct usher_place_key key = {.seat = seat};
	unsigned n_closed;
	bool lives = false;
	uint64_t cookie;

	registry_groups_members(registry, seat, slot, members);
	group_foreach (members, member) {
		key.slot = group_key(slot, member);
		if (registry_walk_cookie(registry, &key, &cookie))
			lives = true;
		else
			group_add(closed, member);
	}
	n_closed = group_count(closed);
	reaped->n_gone += n_closed;
	if (serves && !lives) {
		reaped->first_gone = true;
		key.slot = group_key(slot, group_next(members, 0));
		reaped->first.key = key;
		registry_walk_recall(registry, &key, &reaped->first.data);
	}
	if (n_closed || !lives)
		drop_members(registry, seat, slot, closed);
	return lives;
}

unsigned registry_reap(struct registry *registry, uint32_t seat, struct registry_reaped *ret)
{
	const uint64_t order = registry_walk_order(registry, seat);
	struct registry_reaped reaped = {.n_gone = 0};
	unsigned n = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++)
		n += reap_place(registry, seat, order_slot(order, rank), rank == 0, &reaped);
	if (reaped.n_gone)
		registry_count(registry, seat);
	if (ret)
		*ret = reaped;
	return n;
}

int registry_refuse_socket(struct refusal *refusal, int error)
{
	switch (error) {
	case EOPNOTSUPP:
		return refuse(refusal, error,
			"is of a type or in a state that a sockmap does not accept (EOPNOTSUPP); hand in a listening TCP or a bound UDP socket");
	case EINVAL:
		return refuse(refusal, error,
			"has an upper layer protocol such as kTLS, which a sockmap does not accept (EINVAL); hand it in before that is set up");
	case EBUSY:
		return refuse(refusal, error,
			"is used by the kernel, or by another sockmap with a program of its own (EBUSY); hand in a plain socket");
	case E2BIG:
		return refuse(refusal, error,
			"does not fit: the table of %u sockets is full (E2BIG); withdraw some",
			USHER_SEATS_MAX * USHER_PLACES_MAX);
	default:
		return refuse(
			refusal, error, "could not be put into the kernel's table (%s)", errno_name(error));
	}
}

/* A slot that is not in the order: one of its members is reserved */
static bool is_reserved(const struct registry *registry, uint32_t seat, uint32_t slot)
{
	const struct usher_place_key key = {.seat = seat, .slot = slot};
	struct usher_group group;
	struct usher_place place;

	return bpf_map_lookup_elem(registry->maps[REGISTRY_PLACES], &key, &place) == 0 ||
	       registry_groups_read(registry, seat, slot, &group);
}

/* Return: a free slot; USHER_SLOTS_MAX: there are as many places as there can be, with those that are reserved */
static uint32_t find_slot(const struct registry *registry, uint32_t seat, unsigned leaving)
{
	uint64_t order = registry_walk_order(registry, seat);
	unsigned n = order_length(order) - leaving;
	uint32_t found = USHER_SLOTS_MAX;

	for (uint32_t slot = 0; slot < USHER_SLOTS_MAX && n < USHER_PLACES_MAX; slot++) {
		if (order_has(order, slot))
			continue;
		if (is_reserved(registry, seat, slot))
			n++;
		else if (found == USHER_SLOTS_MAX)
			found = slot;
	}
	return n < USHER_PLACES_MAX ? found : USHER_SLOTS_MAX;
}

static int refuse_full(const struct registry *registry, uint32_t seat, struct refusal *refusal)
{
	return refuse(refusal, ENOSPC,
		"does not fit: '%s' has %u live %s sockets for %s already, the maximum (ENOSPC); withdraw or close some",
		registry->seats[seat].name, USHER_PLACES_MAX, protocol_name(registry->seats[seat].protocol),
		family_name(registry->seats[seat].family));
}

/* The group of the place has no number for one more. */
static int refuse_member(const struct registry *registry, uint32_t seat, const struct usher_place *place,
	struct refusal *refusal)
{
	char address[ENDPOINT_TEXT_MAX];

	return refuse(refusal, ENOSPC,
		"does not fit: %u sockets of its SO_REUSEPORT group at %s are handed in as '%s' already, the maximum (ENOSPC); while one of them is open the kernel gives this one its share as well, so leave its hand-in out, or close some",
		USHER_MEMBERS_MAX, endpoint_format(place->family, place->address, place->port, address),
		registry->seats[seat].name);
}

static int check_owned(
	const struct registry *registry, const struct registry_kin *kin, struct refusal *refusal)
{
	if (!kin->kind || !kin->owner || registry_groups_count(registry, kin->owner) < REGISTRY_OWNED_MAX)
		return 0;
	return refuse(refusal, ENOSPC,
		"does not fit: uid %u has %u sockets in SO_REUSEPORT groups that are handed in, the maximum (ENOSPC); close some, or hand in fewer of each group: while one of it is open the kernel gives the others their share",
		kin->owner, REGISTRY_OWNED_MAX);
}

static int write_reserved(struct registry *registry, const struct usher_place_key *key,
	const struct usher_place *place, struct refusal *refusal)
{
	if (bpf_map_update_elem(registry->maps[REGISTRY_PLACES], key, place, BPF_NOEXIST) == 0)
		return 0;
	return errno == E2BIG ? registry_refuse_socket(refusal, errno) : -errno;
}

static int take_member(struct registry *registry, struct usher_place_key *key,
	const struct usher_place *place, const struct registry_kin *kin, struct refusal *refusal)
{
	const uint32_t slot = key->slot;
	struct usher_group group = {.kind = USHER_KIND_UNKNOWN};
	unsigned member;
	int r;

	if (!registry_groups_read(registry, key->seat, slot, &group) &&
		registry_is_seated(registry, key->seat, slot)) {
		group_add(group.members, 0);
		group_add(group.taken, 0);
	}
	member = group_free(group.taken);
	if (member == USHER_MEMBERS_MAX)
		return refuse_member(registry, key->seat, place, refusal);
	r = member ? check_owned(registry, kin, refusal) : 0;
	if (r)
		return r;
	key->slot = group_key(slot, member);
	group_add(group.taken, member);
	if (!group.kind) {
		group.kind = (uint8_t)kin->kind;
		group.owner = kin->owner;
	}
	r = registry_groups_write(registry, key->seat, slot, &group);
	if (r == -E2BIG)
		r = registry_refuse_socket(refusal, E2BIG);
	if (!r)
		r = write_reserved(registry, key, place, refusal);
	if (r)
		registry_unstage(registry, key->seat, key->slot);
	return r;
}

int registry_reserve(struct registry *registry, uint32_t seat, const struct usher_place *place,
	const struct registry_kin *kin, unsigned leaving, uint32_t *ret_slot, struct refusal *refusal)
{
	const bool grouped = place->flags & USHER_PLACE_REUSEPORT;
	struct usher_place_key key = {.seat = seat, .slot = USHER_SLOTS_MAX};
	int r;

	if (grouped)
		key.slot = registry_groups_find(registry, seat, place, kin);
	if (key.slot == USHER_SLOTS_MAX)
		key.slot = find_slot(registry, seat, leaving);
	if (key.slot == USHER_SLOTS_MAX) {
		(void)registry_reap(registry, seat, NULL);
		key.slot = find_slot(registry, seat, leaving);
	}
	if (key.slot == USHER_SLOTS_MAX)
		return refuse_full(registry, seat, refusal);
	r = grouped ? take_member(registry, &key, place, kin, refusal)
		    : write_reserved(registry, &key, place, refusal);
	if (!r)
		*ret_slot = key.slot;
	return r;
}

void registry_unstage(struct registry *registry, uint32_t seat, uint32_t slot)
{
	struct usher_place_key key = {.seat = seat, .slot = slot};
	struct usher_group group;

	if (registry_groups_read(registry, seat, group_slot(slot), &group)) {
		group_drop(group.taken, group_number(slot));
		(void)registry_groups_write(registry, seat, group_slot(slot), &group);
	}
	forget(registry, &key);
}

static void show_member(struct registry *registry, uint32_t seat, uint32_t slot)
{
	struct usher_group group;

	if (!registry_groups_read(registry, seat, group_slot(slot), &group))
		return;
	group_add(group.members, group_number(slot));
	(void)registry_groups_write(registry, seat, group_slot(slot), &group);
}

void registry_commit(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank)
{
	const uint64_t order = order_without(registry_walk_order(registry, seat), group_slot(slot));

	show_member(registry, seat, slot);
	write_order(registry, seat, order_with(order, group_slot(slot), rank));
	registry_groups_publish(registry, seat);
	registry_count(registry, seat);
}

bool registry_is_seated(const struct registry *registry, uint32_t seat, uint32_t slot)
{
	return order_has(registry_walk_order(registry, seat), group_slot(slot));
}

bool registry_is_full(const struct registry *registry, uint32_t seat)
{
	return order_length(registry_walk_order(registry, seat)) == USHER_PLACES_MAX;
}

/* Return: whether a socket, other than that of @except, is in the place that serves */
static bool is_first(
	const struct registry *registry, uint32_t seat, uint64_t cookie, const struct usher_place_key *except)
{
	registry_foreach_socket (registry, seat, walk) {
		if (walk.rank)
			return false;
		if (walk.cookie == cookie && !(except && walk.key.slot == except->slot))
			return true;
	}
	return false;
}

static void check_front(struct registry *registry, uint32_t seat, const struct usher_place_key *leaving)
{
	uint64_t front;

	if (bpf_map_lookup_elem(registry->maps[REGISTRY_FRONT], &seat, &front) == 0 &&
		!is_first(registry, seat, front, leaving))
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
}

void registry_check_front(struct registry *registry, uint32_t seat)
{
	check_front(registry, seat, NULL);
}

void registry_replace(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank, uint32_t old)
{
	const uint64_t order = registry_walk_order(registry, seat);
	__u64 members[USHER_GROUP_WORDS];

	if (rank && order_length(order) && order_slot(order, 0) == old)
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
	registry_groups_members(registry, seat, old, members);
	show_member(registry, seat, slot);
	write_order(registry, seat, order_with(order_without(order, old), group_slot(slot), rank));
	registry_groups_publish(registry, seat);
	drop_members(registry, seat, old, members);
	registry_count(registry, seat);
}

void registry_remove(struct registry *registry, uint32_t seat, uint32_t slot)
{
	const struct usher_place_key key = {.seat = seat, .slot = slot};
	__u64 members[USHER_GROUP_WORDS] = {0};

	check_front(registry, seat, &key);
	group_add(members, group_number(slot));
	drop_members(registry, seat, group_slot(slot), members);
	registry_count(registry, seat);
}

int registry_write_place(struct registry *registry, const struct registry_place *place)
{
	return bpf_map_update_elem(registry->maps[REGISTRY_PLACES], &place->key, &place->data, BPF_EXIST) < 0
		       ? -errno
		       : 0;
}
