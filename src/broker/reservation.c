/* SPDX-License-Identifier: BSD-3-Clause */
#include "reservation.h"

#include <errno.h>
#include <limits.h>

#include "../datapath/group.h"
#include "../holder/store.h"
#include "orphans.h"
#include "place.h"
#include "reap.h"

static bool is_offered_twice(const struct offer *offer, const struct offered_socket *socket)
{
	for (const struct offered_socket *other = offer->sockets; other < socket; other++)
		if (other->rule == socket->rule && other->facts.cookie == socket->facts.cookie)
			return true;
	return false;
}

/* A place of which one socket is an IPv4 socket of the process that offers */
static bool is_own_ipv4(const struct offer *offer, const struct registry_place *place)
{
	return !(place->data.flags & USHER_PLACE_DUAL_STACK) &&
	       place->data.pid == (uint32_t)offer->request->owner->pid;
}

/*
 * In the IPv4 seat a dual-stack socket comes after the IPv4 sockets of the same process, before everybody else's. The
 * place that it joins is taken out first, and does not count.
 */
unsigned reservation_rank(const struct offer *offer, const struct aim *aim)
{
	const struct registry *registry = &offer->broker->registry;
	unsigned rank = 0, last = UINT_MAX;
	bool own = true;

	if (!aim->dual_stack)
		return 0;
	registry_foreach_socket (registry, aim->seat, walk) {
		struct registry_place place;

		if (group_slot(walk.key.slot) == group_slot(aim->slot))
			continue;
		if (walk.rank != last && !own)
			break;
		registry_walk_read(registry, &walk, &place);
		if (walk.rank != last)
			own = false;
		last = walk.rank;
		if (!own && is_own_ipv4(offer, &place)) {
			own = true;
			rank++;
		}
	}
	return rank;
}

static bool is_offered(const struct offer *offer, const struct rule *rule, uint64_t cookie)
{
	for (size_t i = 0; i < offer->request->n; i++)
		if (offer->sockets[i].rule == rule && offer->sockets[i].facts.cookie == cookie)
			return true;
	return false;
}

bool reservation_is_leaving(const struct offer *offer, const struct offered_socket *socket, uint64_t cookie)
{
	return orphans_is_one(offer->broker, socket->rule->name, cookie) &&
	       !is_offered(offer, socket->rule, cookie);
}

unsigned reservation_count_leaving(
	const struct offer *offer, const struct offered_socket *socket, uint32_t seat, uint32_t *ret_last)
{
	const struct registry *registry = &offer->broker->registry;
	uint32_t stays = 0, slots[USHER_PLACES_MAX];
	unsigned n = 0, n_leaving = 0;

	if (!holder_count(offer->broker->holder))
		return 0;
	registry_foreach_socket (registry, seat, walk) {
		slots[walk.rank] = group_slot(walk.key.slot);
		n = walk.rank + 1;
		if (!reservation_is_leaving(offer, socket, walk.cookie))
			stays |= 1U << walk.rank;
	}
	for (unsigned rank = 0; rank < n; rank++)
		if (!(stays >> rank & 1)) {
			*ret_last = slots[rank];
			n_leaving++;
		}
	return n_leaving;
}
static enum usher_kind kind_of(const struct socket_facts *facts)
{
	if (!facts->ipv6)
		return USHER_KIND_IPV4;
	return facts->serves_ipv4 ? USHER_KIND_IPV6 : USHER_KIND_IPV6_ONLY;
}

static int reserve(struct offer *offer, struct offered_socket *socket, struct refusal *refusal)
{
	struct broker *broker = offer->broker;

	for (size_t k = 0; k < socket->n_aims && !is_offered_twice(offer, socket); k++) {
		struct aim *aim = &socket->aims[k];
		const struct registry_kin kin = {.owner = socket->maker, .kind = kind_of(&socket->facts)};
		unsigned n_live = reap_seat(broker, aim->seat), n_leaving = 0;
		struct usher_place place;
		uint32_t last;
		int r;

		if (registry_find_socket(&broker->registry, aim->seat, socket->facts.cookie, NULL))
			continue;
		place = place_make(&socket->facts, offer->request->owner, offer->request->via,
			(aim->dual_stack ? USHER_PLACE_DUAL_STACK : 0) |
				(offer->request->hold ? USHER_PLACE_HELD : 0));
		if (n_live + offer->request->n > USHER_PLACES_MAX)
			n_leaving = reservation_count_leaving(offer, socket, aim->seat, &last);
		r = registry_reserve(
			&broker->registry, aim->seat, &place, &kin, n_leaving, &aim->slot, refusal);
		if (r)
			return r;
		aim->staged = true;
	}
	return 0;
}

static void list_items(struct reservation *reservation, const struct offer *offer)
{
	for (size_t i = 0; i < offer->request->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++) {
			const struct aim *aim = &offer->sockets[i].aims[k];

			if (aim->staged)
				reservation->items[reservation->n_items++] =
					(struct work_item){.index = (uint32_t)i,
						.seat = aim->seat,
						.slot = aim->slot,
						.front = reservation_rank(offer, aim) == 0};
		}
}

/* Of a group that serves, this is one socket: while it stays, the others are not needed. */
static bool is_first(const struct registry *registry, const char *name, uint64_t cookie)
{
	struct registry_place place, first;
	uint32_t seat = 0;

	while (registry_next_place(registry, name, cookie, &seat, &place))
		if (registry_read_first(registry, seat, &first) && first.data.cookie == cookie)
			return true;
	return false;
}

/* One of those that leave and serve nobody goes before, where the store has no room for its successor beside it. */
static bool free_room_to_hold(const struct offer *offer, const struct offered_socket *socket)
{
	const char *name = socket->rule->name;
	uint64_t last = 0;

	registry_foreach_socket (&offer->broker->registry, socket->aims[0].seat, walk)
		if (reservation_is_leaving(offer, socket, walk.cookie) &&
			!is_first(&offer->broker->registry, name, walk.cookie))
			last = walk.cookie;
	if (!last)
		return false;
	orphans_let_go(offer->broker, name, last);
	return true;
}

int reservation_make(struct reservation *reservation, struct offer *offer, struct refusal *refusal)
{
	const struct holder *holder = offer->broker->holder;

	for (size_t i = 0; i < offer->request->n; i++) {
		struct offered_socket *socket = &offer->sockets[i];
		int r = reserve(offer, socket, refusal);

		if (!r && offer->request->hold &&
			!holder_find(holder, socket->rule->name, socket->facts.cookie))
			reservation->hold[reservation->n_hold++] = (uint8_t)i;
		while (!r && !holder_has_room(holder, reservation->n_hold) &&
			free_room_to_hold(offer, socket))
			reservation->dropped = true;
		if (!r && !holder_has_room(holder, reservation->n_hold))
			r = refuse(refusal, ENOSPC,
				"cannot be held: the service manager keeps at most %zu sockets for usherd (ENOSPC); raise FileDescriptorStoreMax= and FDSTORE= of usherd.service",
				store_limit());
		if (r == REFUSED)
			return offer_refuse(offer, i, refusal);
		if (r < 0)
			return r;
	}
	list_items(reservation, offer);
	return 0;
}

/* How many places a seat gets: one for each group, and none for members of one that is there */
static unsigned count_new(const struct offer *offer, uint32_t seat)
{
	uint32_t slots = 0;

	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++) {
			const struct aim *aim = &offer->sockets[i].aims[k];

			if (aim->staged && aim->seat == seat &&
				!registry_is_seated(&offer->broker->registry, seat, aim->slot))
				slots |= 1U << group_slot(aim->slot);
		}
	return (unsigned)__builtin_popcount(slots);
}

int reservation_check(const struct offer *offer, struct refusal *refusal)
{
	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++) {
			const struct aim *aim = &offer->sockets[i].aims[k];
			unsigned n;
			uint32_t last;

			if (!aim->staged)
				continue;
			/* a place that has just gone does not count as one that its members find */
			n = reap_seat(offer->broker, aim->seat);
			n += count_new(offer, aim->seat);
			if (n <= USHER_PLACES_MAX)
				continue;
			n -= reservation_count_leaving(offer, &offer->sockets[i], aim->seat, &last);
			if (n > USHER_PLACES_MAX)
				return refuse(refusal, EAGAIN,
					"sockets that were to be replaced were claimed meanwhile, or are not closed yet (EAGAIN); try again");
		}
	return 0;
}

void reservation_undo(struct offer *offer)
{
	struct registry *registry = &offer->broker->registry;

	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++) {
			struct aim *aim = &offer->sockets[i].aims[k];

			if (!aim->staged)
				continue;
			registry_unstage(registry, aim->seat, aim->slot);
			registry_check_front(registry, aim->seat);
			aim->staged = false;
		}
}
