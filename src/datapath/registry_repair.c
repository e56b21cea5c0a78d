/* SPDX-License-Identifier: BSD-3-Clause */

/* What an earlier broker left in the maps, which somebody else may have written to. */

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/name.h"
#include "order.h"
#include "registry.h"

static bool is_whole(const struct usher_seat *seat)
{
	return seat->used == 1 && (seat->protocol == IPPROTO_TCP || seat->protocol == IPPROTO_UDP) &&
	       (seat->family == AF_INET || seat->family == AF_INET6) &&
	       memchr(seat->name, '\0', sizeof(seat->name)) && name_is_valid(seat->name);
}

static void drop_seat(struct registry *registry, uint32_t seat)
{
	registry->damaged = true;
	for (uint32_t slot = 0; slot < USHER_SLOTS_MAX; slot++)
		registry_unstage(registry, seat, slot);
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

/* Removes what a broker left that died between stage and commit, or between the two steps of a removal. */
static void sweep(struct registry *registry)
{
	registry_foreach_seat (registry, seat) {
		struct usher_place_key key = {.seat = seat};
		uint64_t order;

		(void)registry_reap(registry, seat, NULL);
		order = registry->seats[seat].order;
		for (key.slot = 0; key.slot < USHER_SLOTS_MAX; key.slot++)
			if (order_without(order, key.slot) == order)
				registry_unstage(registry, seat, key.slot);
		registry_check_front(registry, seat);
	}
}

int registry_repair(struct registry *registry)
{
	int r;

	repair(registry);
	r = drop_duplicates(registry);
	if (r < 0)
		return r;
	sweep(registry);
	registry_foreach_seat (registry, seat)
		registry_count(registry, seat);
	return 0;
}
