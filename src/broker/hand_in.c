/* SPDX-License-Identifier: BSD-3-Clause */

#include "hand_in.h"

#include <errno.h>

#include "../holder/store.h"
#include "../observe/observe.h"
#include "../util/transport.h"
#include "early.h"
#include "offer.h"
#include "place.h"
#include "reap.h"

static bool find_place(const struct offer *offer, const struct offered_socket *socket, const struct aim *aim,
	struct registry_place *ret)
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

static int hold_socket(struct offer *offer, const struct offered_socket *socket, struct refusal *refusal)
{
	/* the broker would not notice the end of a process that it does not watch */
	pid_t pid = registrants_is_watched(offer->broker->registrants, offer->request->owner->pid)
			    ? offer->request->owner->pid
			    : 0;
	int r = holder_dup(offer->broker->holder, socket->rule->name, socket->facts.cookie, socket->fd, pid);

	if (r == HOLDER_FULL)
		return refuse(refusal, ENOSPC,
			"cannot be held: the service manager keeps at most %zu sockets for usherd (ENOSPC); raise FileDescriptorStoreMax= and FDSTORE= of usherd.service",
			store_limit());
	return r;
}

static int stage_all(struct offer *offer, struct refusal *refusal)
{
	struct broker *broker = offer->broker;

	for (size_t i = 0; i < offer->request->n; i++) {
		struct offered_socket *socket = &offer->sockets[i];
		int r = 0;

		for (size_t k = 0; k < socket->n_aims && !is_offered_twice(offer, socket); k++) {
			struct aim *aim = &socket->aims[k];
			struct registry_place there;
			struct usher_place place;

			(void)reap_seat(broker, aim->seat);
			if (find_place(offer, socket, aim, &there))
				continue;
			place = place_make(&socket->facts, offer->request->owner, offer->request->via,
				(aim->dual_stack ? USHER_PLACE_DUAL_STACK : 0) |
					(offer->request->hold ? USHER_PLACE_HELD : 0));
			r = registry_stage(
				&broker->registry, aim->seat, socket->fd, &place, &aim->slot, refusal);
			if (r)
				break;
			aim->staged = true;
		}
		if (!r && offer->request->hold &&
			!holder_find(broker->holder, socket->rule->name, socket->facts.cookie)) {
			r = hold_socket(offer, socket, refusal);
			socket->held_now = r == 0;
		}
		if (r == REFUSED)
			return offer_refuse(offer, i, refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

static void undo(struct offer *offer)
{
	for (size_t i = 0; i < offer->request->n; i++) {
		const struct offered_socket *socket = &offer->sockets[i];

		for (size_t k = 0; k < socket->n_aims; k++)
			if (socket->aims[k].staged)
				registry_unstage(
					&offer->broker->registry, socket->aims[k].seat, socket->aims[k].slot);
		if (socket->held_now)
			(void)holder_drop(offer->broker->holder, socket->rule->name, socket->facts.cookie);
	}
}

/* In the IPv4 seat a dual-stack socket comes after the IPv4 sockets of the same process, before everybody else's. */
static unsigned rank_of(const struct offer *offer, const struct aim *aim)
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

/* Drops a socket that is held for a process that has gone, if nobody has claimed it: only its backlog would fill. */
static void drop_orphans(struct offer *offer, const struct offered_socket *socket, uint32_t seat)
{
	struct broker *broker = offer->broker;
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n;

	if (!holder_count(broker->holder))
		return;
	n = registry_read_places(&broker->registry, seat, places);
	for (unsigned i = 0; i < n; i++) {
		const struct holder_entry *entry =
			holder_find(broker->holder, socket->rule->name, places[i].data.cookie);

		if (!entry || entry->pid || entry->cookie == socket->facts.cookie)
			continue;
		(void)holder_drop(broker->holder, entry->name, entry->cookie);
		places[i].data.flags &= (uint8_t)~USHER_PLACE_HELD;
		(void)registry_write_place(&broker->registry, &places[i]);
	}
	(void)reap_seat(broker, seat);
}

/* A socket that was there already keeps its rank; only its owner, and whether it is held, may change. */
static void commit_kept(struct offer *offer, const struct offered_socket *socket, const struct aim *aim)
{
	struct registry_place place;

	if (!find_place(offer, socket, aim, &place))
		return;
	place_set_owner(&place.data, offer->request->owner);
	if (offer->request->hold)
		place.data.flags |= USHER_PLACE_HELD;
	(void)registry_write_place(&offer->broker->registry, &place);
}

/* Return: whether the socket is new in any of its seats. */
static bool commit(struct offer *offer, const struct offered_socket *socket)
{
	struct refusal refusal;
	bool added = false;

	for (size_t k = 0; k < socket->n_aims; k++) {
		const struct aim *aim = &socket->aims[k];

		if (!aim->staged) {
			commit_kept(offer, socket, aim);
			continue;
		}
		registry_commit(
			&offer->broker->registry, aim->seat, aim->slot, socket->fd, rank_of(offer, aim));
		drop_orphans(offer, socket, aim->seat);
		added = true;
	}
	if (offer->request->hold)
		(void)hold_socket(offer, socket, &refusal); /* held already: this only updates the process */
	(void)early_take_out(offer->broker, socket->rule->name, socket->facts.cookie);
	return added;
}

static void report_handed_in(const struct offer *offer, const struct offered_socket *socket)
{
	const struct aim *aim = &socket->aims[0];
	const struct usher_seat *seat = &offer->broker->registry.seats[aim->seat];
	const struct usher_place place =
		place_make(&socket->facts, offer->request->owner, offer->request->via, 0);
	struct observed about = place_observed(offer->broker, seat, &place);
	char address[ENDPOINT_TEXT_MAX];

	about.uid = offer->request->owner->uid;
	about.by_client = true;
	about.pid = offer->request->owner->pid;
	observe(OBSERVE_HANDED_IN, &about, "'%s': the %s socket at %s is handed in%s and serves", seat->name,
		protocol_name(seat->protocol), place_address(&place, address),
		offer->request->hold ? ", held," : "");
}

int hand_in_offer(struct broker *broker, const struct offer_request *request, struct hand_in_outcome *ret,
	struct refusal *refusal)
{
	_cleanup_(offer_deinit) struct offer offer = OFFER_NULL;
	size_t added = 0;
	int r;

	r = offer_read(broker, request, &offer, refusal);
	if (!r && request->pidfd >= 0)
		r = registrants_watch_dup(
			broker->registrants, request->owner->pid, request->owner->uid, request->pidfd);
	if (r)
		return r;
	r = stage_all(&offer, refusal);
	if (r) {
		undo(&offer);
		return r;
	}
	/* the last socket first, so that the first one of the packet ends up in front */
	for (size_t i = request->n; i-- > 0;)
		if (commit(&offer, &offer.sockets[i])) {
			report_handed_in(&offer, &offer.sockets[i]);
			added++;
		}
	*ret = (struct hand_in_outcome){.added = added, .kept = request->n - added};
	return 0;
}
