/* SPDX-License-Identifier: BSD-3-Clause */
#include "orphans.h"

static bool is_orphan(const struct broker *broker, const char *name, uint64_t cookie)
{
	const struct holder_entry *entry = holder_find(broker->holder, name, cookie);

	return entry && !entry->pid;
}

unsigned orphans_read(const struct broker *broker, uint32_t seat, struct registry_place *ret)
{
	const char *name = broker->registry.seats[seat].name;
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n, n_orphans = 0;

	if (!holder_count(broker->holder))
		return 0;
	n = registry_read_places(&broker->registry, seat, places);
	for (unsigned i = 0; i < n; i++)
		if (is_orphan(broker, name, places[i].data.cookie))
			ret[n_orphans++] = places[i];
	return n_orphans;
}

void orphans_let_go(struct broker *broker, const char *name, uint64_t cookie)
{
	struct registry_place place;
	uint32_t seat = 0;

	(void)holder_drop(broker->holder, name, cookie);
	while (registry_next_place(&broker->registry, name, cookie, &seat, &place)) {
		place.data.flags &= (uint8_t)~USHER_PLACE_HELD;
		(void)registry_write_place(&broker->registry, &place);
	}
}

/* A dual-stack socket may be first in one seat and behind another one in the other. */
bool orphans_serves(const struct broker *broker, const char *name, uint64_t cookie)
{
	struct registry_place place;
	uint32_t seat = 0;

	while (registry_next_place(&broker->registry, name, cookie, &seat, &place)) {
		uint64_t cookies[USHER_PLACES_MAX];

		if (registry_read_cookies(&broker->registry, seat, cookies) && cookies[0] == cookie)
			return true;
	}
	return false;
}

static void drop_idle(struct broker *broker, uint32_t seat)
{
	const char *name = broker->registry.seats[seat].name;
	struct registry_place orphans[USHER_PLACES_MAX];
	unsigned n = orphans_read(broker, seat, orphans);
	uint64_t cookies[USHER_PLACES_MAX];

	/* one that serves is about to be claimed, with all others of its process: none of them goes before */
	if (!n || !registry_read_cookies(&broker->registry, seat, cookies) ||
		cookies[0] == orphans[0].data.cookie)
		return;
	for (unsigned i = 0; i < n; i++)
		if (!orphans_serves(broker, name, orphans[i].data.cookie))
			orphans_let_go(broker, name, orphans[i].data.cookie);
}

void orphans_drop_idle(struct broker *broker)
{
	if (!holder_count(broker->holder))
		return;
	registry_foreach_seat (&broker->registry, seat)
		drop_idle(broker, seat);
}
