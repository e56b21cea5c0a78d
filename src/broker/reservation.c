/* SPDX-License-Identifier: BSD-3-Clause */
#include "reservation.h"

#include <errno.h>

#include "../holder/store.h"
#include "orphans.h"
#include "place.h"
#include "reap.h"

bool reservation_find_place(const struct offer *offer, const struct offered_socket *socket,
	const struct aim *aim, struct registry_place *ret)
{
	const struct registry *registry = &offer->broker->registry;
	struct registry_place places[USHER_PLACES_MAX];
	uint64_t cookies[USHER_PLACES_MAX];
	unsigned n = registry_read_cookies(registry, aim->seat, cookies), i = 0;

	while (i < n && cookies[i] != socket->facts.cookie)
		i++;
	if (i == n)
		return false;
	n = registry_read_places(registry, aim->seat, places);
	for (i = 0; i < n; i++)
		if (places[i].data.cookie == socket->facts.cookie) {
			*ret = places[i];
			return true;
		}
	return false;
}

static bool is_offered_twice(const struct offer *offer, const struct offered_socket *socket)
{
	for (const struct offered_socket *other = offer->sockets; other < socket; other++)
		if (other->rule == socket->rule && other->facts.cookie == socket->facts.cookie)
			return true;
	return false;
}

/* In the IPv4 seat a dual-stack socket comes after the IPv4 sockets of the same process, before everybody else's. */
unsigned reservation_rank(const struct offer *offer, const struct aim *aim)
{
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n, rank = 0;

	if (!aim->dual_stack)
		return 0;
	n = registry_read_places(&offer->broker->registry, aim->seat, places);
	while (rank < n && !(places[rank].data.flags & USHER_PLACE_DUAL_STACK) &&
		places[rank].data.pid == (uint32_t)offer->request->owner->pid)
		rank++;
	return rank;
}

static bool is_offered(const struct offer *offer, const struct rule *rule, uint64_t cookie)
{
	for (size_t i = 0; i < offer->request->n; i++)
		if (offer->sockets[i].rule == rule && offer->sockets[i].facts.cookie == cookie)
			return true;
	return false;
}

unsigned reservation_read_leaving(const struct offer *offer, const struct offered_socket *socket,
	uint32_t seat, struct registry_place ret[static USHER_PLACES_MAX])
{
	unsigned n = orphans_read(offer->broker, seat, ret), n_leaving = 0;

	for (unsigned i = 0; i < n; i++)
		if (!is_offered(offer, socket->rule, ret[i].data.cookie))
			ret[n_leaving++] = ret[i];
	return n_leaving;
}

static int reserve(struct offer *offer, struct offered_socket *socket, struct refusal *refusal)
{
	struct broker *broker = offer->broker;

	for (size_t k = 0; k < socket->n_aims && !is_offered_twice(offer, socket); k++) {
		struct aim *aim = &socket->aims[k];
		struct registry_place there, leaving[USHER_PLACES_MAX];
		unsigned n_live = reap_seat(broker, aim->seat), n_leaving = 0;
		struct usher_place place;
		int r;

		if (reservation_find_place(offer, socket, aim, &there))
			continue;
		place = place_make(&socket->facts, offer->request->owner, offer->request->via,
			(aim->dual_stack ? USHER_PLACE_DUAL_STACK : 0) |
				(offer->request->hold ? USHER_PLACE_HELD : 0));
		if (n_live + offer->request->n > USHER_PLACES_MAX)
			n_leaving = reservation_read_leaving(offer, socket, aim->seat, leaving);
		r = registry_reserve(&broker->registry, aim->seat, &place, n_leaving, &aim->slot, refusal);
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

/* One of those that leave and serve nobody goes before, where the store has no room for its successor beside it. */
static bool free_room_to_hold(const struct offer *offer, const struct offered_socket *socket)
{
	struct registry_place leaving[USHER_PLACES_MAX];
	unsigned n = reservation_read_leaving(offer, socket, socket->aims[0].seat, leaving);

	while (n > 0 && orphans_serves(offer->broker, socket->rule->name, leaving[n - 1].data.cookie))
		n--;
	if (!n)
		return false;
	orphans_let_go(offer->broker, socket->rule->name, leaving[n - 1].data.cookie);
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

static unsigned count_staged(const struct offer *offer, uint32_t seat)
{
	unsigned n = 0;

	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++)
			n += offer->sockets[i].aims[k].staged && offer->sockets[i].aims[k].seat == seat;
	return n;
}

int reservation_check(const struct offer *offer, struct refusal *refusal)
{
	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++) {
			struct registry_place leaving[USHER_PLACES_MAX];
			const struct aim *aim = &offer->sockets[i].aims[k];
			unsigned n = count_staged(offer, aim->seat);

			if (!aim->staged || n + reap_seat(offer->broker, aim->seat) <= USHER_PLACES_MAX)
				continue;
			n += reap_seat(offer->broker, aim->seat);
			if (n - reservation_read_leaving(offer, &offer->sockets[i], aim->seat, leaving) >
				USHER_PLACES_MAX)
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
