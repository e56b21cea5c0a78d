/* SPDX-License-Identifier: BSD-3-Clause */
#include "orphans.h"

bool orphans_is_one(const struct broker *broker, const char *name, uint64_t cookie)
{
	const struct holder_entry *entry = holder_find(broker->holder, name, cookie);

	return entry && !entry->pid;
}

void orphans_let_go(struct broker *broker, const char *name, uint64_t cookie)
{
	struct registry_place place;
	uint32_t seat = 0;

	(void)holder_drop(broker->holder, name, cookie);
	while (registry_next_place(&broker->registry, name, cookie, &seat, &place)) {
		place.data.flags &= (uint8_t)~USHER_PLACE_HELD;
		place.data.flags |= USHER_PLACE_RELEASED;
		(void)registry_write_place(&broker->registry, &place);
	}
}

/* A worker closes it, and until then it is in its group. If another process has it open, that one is not its owner. */
static bool is_released(const struct registry *registry, const struct registry_walk *walk)
{
	struct registry_place place;

	registry_walk_read(registry, walk, &place);
	return place.data.flags & USHER_PLACE_RELEASED;
}

/* Whether the first place of a seat is of orphans only, and the socket is one of them; 0: any */
static bool is_first(const struct broker *broker, uint32_t seat, uint64_t cookie)
{
	const struct registry *registry = &broker->registry;
	bool found = false;

	registry_foreach_socket (registry, seat, walk) {
		if (walk.rank)
			break;
		if (is_released(registry, &walk))
			continue;
		if (!orphans_is_one(broker, registry->seats[seat].name, walk.cookie))
			return false;
		found = found || !cookie || walk.cookie == cookie;
	}
	return found;
}

/* A dual-stack socket may be first in one seat and after another one in the other. */
static bool serves(const struct broker *broker, const char *name, uint64_t cookie)
{
	struct registry_place place;
	uint32_t seat = 0;

	while (registry_next_place(&broker->registry, name, cookie, &seat, &place))
		if (is_first(broker, seat, cookie))
			return true;
	return false;
}

static void drop_idle(struct broker *broker, uint32_t seat)
{
	const char *name = broker->registry.seats[seat].name;

	/* one that serves is about to be claimed, with all others of its process: none of them goes before */
	if (is_first(broker, seat, 0))
		return;
	registry_foreach_socket (&broker->registry, seat, walk)
		if (orphans_is_one(broker, name, walk.cookie) && !serves(broker, name, walk.cookie))
			orphans_let_go(broker, name, walk.cookie);
}

void orphans_drop_idle(struct broker *broker)
{
	if (!holder_count(broker->holder))
		return;
	registry_foreach_seat (&broker->registry, seat)
		drop_idle(broker, seat);
}
