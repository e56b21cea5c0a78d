/* SPDX-License-Identifier: BSD-3-Clause */
#include "registry_groups.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "group.h"
#include "order.h"
#include "registry_walk.h"

static uint16_t read_marks(const struct registry *registry, uint32_t seat)
{
	return __atomic_load_n(&registry->seats[seat].groups, __ATOMIC_ACQUIRE);
}

static void mark(struct registry *registry, uint32_t seat, unsigned marks)
{
	__atomic_store_n(&registry->seats[seat].groups, (uint16_t)marks, __ATOMIC_RELEASE);
}

bool registry_groups_read(
	const struct registry *registry, uint32_t seat, uint32_t slot, struct usher_group *ret)
{
	const struct usher_place_key key = {.seat = seat, .slot = slot};

	return bpf_map_lookup_elem(registry->maps[REGISTRY_GROUPS], &key, ret) == 0;
}

/* A place with nothing but member 0 is not marked: the program need not read the record. */
static bool is_alone(const struct usher_group *group)
{
	return group_count(group->members) == 1 && group_has(group->members, 0);
}

int registry_groups_write(
	struct registry *registry, uint32_t seat, uint32_t slot, const struct usher_group *group)
{
	const struct usher_place_key key = {.seat = seat, .slot = slot};

	if (!group_count(group->taken)) {
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_GROUPS], &key);
		return 0;
	}
	return bpf_map_update_elem(registry->maps[REGISTRY_GROUPS], &key, group, BPF_ANY) < 0 ? -errno : 0;
}

/* Appends the sockets of a slot. Return: whether it is to be marked. */
static bool list_slot(const struct registry *registry, uint32_t seat, uint32_t slot,
	struct usher_members *list, unsigned *n)
{
	struct usher_group group;
	bool grouped = registry_groups_read(registry, seat, slot, &group);

	if (!grouped || is_alone(&group)) {
		list->slots[(*n)++] = (uint16_t)(slot + 1);
		return false;
	}
	group_foreach (group.members, member)
		list->slots[(*n)++] = (uint16_t)(group_key(slot, member) + 1);
	return true;
}

void registry_groups_publish(struct registry *registry, uint32_t seat)
{
	const uint64_t order = registry_walk_order(registry, seat);
	struct usher_members list = {.slots = {0}};
	unsigned marks = 0, n = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++)
		if (list_slot(registry, seat, order_slot(order, rank), &list, &n))
			marks |= 1U << order_slot(order, rank);
	if (!marks && !read_marks(registry, seat))
		return;
	/* without a mark the program looks at the order */
	if (!marks)
		mark(registry, seat, 0);
	if (!marks)
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_MEMBERS], &seat);
	else if (bpf_map_update_elem(registry->maps[REGISTRY_MEMBERS], &seat, &list, BPF_ANY) == 0)
		mark(registry, seat, marks);
}

void registry_groups_members(
	const struct registry *registry, uint32_t seat, uint32_t slot, __u64 ret[static USHER_GROUP_WORDS])
{
	struct usher_group group = {.members = {1}};

	if (read_marks(registry, seat) >> slot & 1)
		(void)registry_groups_read(registry, seat, slot, &group);
	memcpy(ret, group.members, sizeof(group.members));
}

static bool is_same_kin(const struct usher_group *group, const struct registry_kin *kin)
{
	return !group->kind || !kin->kind || (group->kind == kin->kind && group->owner == kin->owner);
}

static bool is_joined_by(const struct registry *registry, uint32_t seat, uint32_t slot,
	const struct usher_place *place, const struct registry_kin *kin)
{
	struct usher_group group = {.taken = {1}};
	struct usher_place_key key = {.seat = seat};
	struct usher_place other;

	if (registry_groups_read(registry, seat, slot, &group) && !is_same_kin(&group, kin))
		return false;
	key.slot = group_key(slot, group_next(group.taken, 0));
	registry_walk_recall(registry, &key, &other);
	return group_is_same(&other, place);
}

uint32_t registry_groups_find(const struct registry *registry, uint32_t seat, const struct usher_place *place,
	const struct registry_kin *kin)
{
	const uint64_t order = registry_walk_order(registry, seat);

	for (unsigned rank = 0; rank < order_length(order); rank++)
		if (is_joined_by(registry, seat, order_slot(order, rank), place, kin))
			return order_slot(order, rank);
	for (uint32_t slot = 0; slot < USHER_SLOTS_MAX; slot++)
		if (!order_has(order, slot) && is_joined_by(registry, seat, slot, place, kin))
			return slot;
	return USHER_SLOTS_MAX;
}

unsigned registry_groups_count(const struct registry *registry, uint32_t owner)
{
	unsigned n = 0;

	registry_foreach_seat (registry, seat)
		for (uint32_t slot = 0; slot < USHER_SLOTS_MAX && read_marks(registry, seat); slot++) {
			struct usher_group group;

			if (read_marks(registry, seat) >> slot & 1 &&
				registry_groups_read(registry, seat, slot, &group) && group.owner == owner)
				n += group_count(group.taken);
		}
	return n;
}

bool registry_serves_with(
	const struct registry *registry, const struct registry_place *a, const struct registry_place *b)
{
	struct usher_group group;
	struct registry_kin kin = {.kind = USHER_KIND_UNKNOWN};

	if (a->key.seat == b->key.seat && group_slot(a->key.slot) == group_slot(b->key.slot))
		return true;
	if (registry_groups_read(registry, a->key.seat, group_slot(a->key.slot), &group))
		kin = (struct registry_kin){.owner = group.owner, .kind = group.kind};
	return group_is_same(&a->data, &b->data) &&
	       (!registry_groups_read(registry, b->key.seat, group_slot(b->key.slot), &group) ||
		       is_same_kin(&group, &kin));
}
