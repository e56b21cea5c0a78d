/* SPDX-License-Identifier: BSD-3-Clause */

#include "hand_in.h"
#include "../util/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../holder/store.h"
#include "../observe/observe.h"
#include "early.h"
#include "offer.h"
#include "place.h"
#include "tidy.h"

static bool find_place(const struct offer *offer, const struct candidate *candidate, const struct aim *aim,
	struct registry_place *ret)
{
	const struct registry *registry = &offer->broker->registry;
	struct registry_place places[USHER_PLACES_MAX];
	uint64_t cookies[USHER_PLACES_MAX];
	unsigned n = registry_read_cookies(registry, aim->seat, cookies), i = 0;

	while (i < n && cookies[i] != candidate->facts.cookie)
		i++;
	if (i == n)
		return false;
	n = registry_read_places(registry, aim->seat, places);
	for (i = 0; i < n; i++)
		if (places[i].data.cookie == candidate->facts.cookie) {
			*ret = places[i];
			return true;
		}
	return false;
}

static bool is_repeated(const struct offer *offer, const struct candidate *candidate)
{
	for (const struct candidate *other = offer->candidates; other < candidate; other++)
		if (other->rule == candidate->rule && other->facts.cookie == candidate->facts.cookie)
			return true;
	return false;
}

static int hold_socket(struct offer *offer, const struct candidate *candidate, struct refusal *refusal)
{
	/* nobody would tell the end of a process that is not watched */
	pid_t pid =
		registrants_is_watched(offer->broker->registrants, offer->owner->pid) ? offer->owner->pid : 0;
	int r = holder_dup(
		offer->broker->holder, candidate->rule->name, candidate->facts.cookie, candidate->fd, pid);

	if (r == HOLDER_FULL)
		return refuse(refusal, ENOSPC,
			"cannot be held: the service manager keeps %zu sockets for usherd and no more (ENOSPC); raise FileDescriptorStoreMax= and FDSTORE= of usherd.service",
			store_limit());
	return r;
}

static int stage_all(struct offer *offer, struct refusal *refusal)
{
	struct broker *broker = offer->broker;

	for (size_t i = 0; i < offer->n; i++) {
		struct candidate *candidate = &offer->candidates[i];
		int r = 0;

		for (size_t k = 0; k < candidate->n_aims && !is_repeated(offer, candidate); k++) {
			struct aim *aim = &candidate->aims[k];
			struct registry_place there;
			struct usher_place place;

			(void)tidy_seat(broker, aim->seat);
			if (find_place(offer, candidate, aim, &there))
				continue;
			place = place_make(&candidate->facts, offer->owner, offer->via,
				(aim->dual_stack ? USHER_PLACE_DUAL_STACK : 0) |
					(offer->hold ? USHER_PLACE_HELD : 0));
			r = registry_stage(
				&broker->registry, aim->seat, candidate->fd, &place, &aim->slot, refusal);
			if (r)
				break;
			aim->staged = true;
		}
		if (!r && offer->hold &&
			!holder_find(broker->holder, candidate->rule->name, candidate->facts.cookie)) {
			r = hold_socket(offer, candidate, refusal);
			candidate->held_now = r == 0;
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
	for (size_t i = 0; i < offer->n; i++) {
		const struct candidate *candidate = &offer->candidates[i];

		for (size_t k = 0; k < candidate->n_aims; k++)
			if (candidate->aims[k].staged)
				registry_unstage(&offer->broker->registry, candidate->aims[k].seat,
					candidate->aims[k].slot);
		if (candidate->held_now)
			(void)holder_drop(
				offer->broker->holder, candidate->rule->name, candidate->facts.cookie);
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
		places[rank].data.pid == (uint32_t)offer->owner->pid)
		rank++;
	return rank;
}

/* What is held for a process that has gone, and was not claimed, makes way: it would only fill its backlog. */
static void drop_orphans(struct offer *offer, const struct candidate *candidate, uint32_t seat)
{
	struct broker *broker = offer->broker;
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n;

	if (!holder_count(broker->holder))
		return;
	n = registry_read_places(&broker->registry, seat, places);
	for (unsigned i = 0; i < n; i++) {
		const struct holder_entry *entry =
			holder_find(broker->holder, candidate->rule->name, places[i].data.cookie);

		if (!entry || entry->pid || entry->cookie == candidate->facts.cookie)
			continue;
		(void)holder_drop(broker->holder, entry->name, entry->cookie);
		places[i].data.flags &= (uint8_t)~USHER_PLACE_HELD;
		(void)registry_write_place(&broker->registry, &places[i]);
	}
	(void)tidy_seat(broker, seat);
}

/* A socket that sat there already keeps its rank; only whose it is, and whether it is held, may change. */
static void commit_kept(struct offer *offer, const struct candidate *candidate, const struct aim *aim)
{
	struct registry_place place;

	if (!find_place(offer, candidate, aim, &place))
		return;
	place_set_owner(&place.data, offer->owner);
	if (offer->hold)
		place.data.flags |= USHER_PLACE_HELD;
	(void)registry_write_place(&offer->broker->registry, &place);
}

/* Return: whether the socket is new in any of its seats. */
static bool commit(struct offer *offer, const struct candidate *candidate)
{
	struct refusal refusal;
	bool added = false;

	for (size_t k = 0; k < candidate->n_aims; k++) {
		const struct aim *aim = &candidate->aims[k];

		if (!aim->staged) {
			commit_kept(offer, candidate, aim);
			continue;
		}
		registry_commit(
			&offer->broker->registry, aim->seat, aim->slot, candidate->fd, rank_of(offer, aim));
		drop_orphans(offer, candidate, aim->seat);
		added = true;
	}
	if (offer->hold)
		(void)hold_socket(
			offer, candidate, &refusal); /* held already: only the process may be another one */
	(void)early_take_out(offer->broker, candidate->rule->name, candidate->facts.cookie);
	return added;
}

static void report(const struct offer *offer, const struct candidate *candidate)
{
	const struct aim *aim = &candidate->aims[0];
	const struct usher_seat *seat = &offer->broker->registry.seats[aim->seat];
	const struct usher_place place = place_make(&candidate->facts, offer->owner, offer->via, 0);
	struct observed about = place_observed(offer->broker, seat, &place);
	char address[ENDPOINT_TEXT_MAX];

	about.uid = offer->owner->uid;
	about.by_client = true;
	about.pid = offer->owner->pid;
	observe(OBSERVE_HANDED_IN, &about, "'%s': the %s socket at %s is handed in%s and serves", seat->name,
		protocol_name(seat->protocol), place_address(&place, address), offer->hold ? ", held," : "");
}

int hand_in(struct broker *broker, struct intake_request *request, const struct hand_in_manner *manner,
	struct writer *answer, struct refusal *refusal)
{
	_cleanup_(offer_deinit) struct offer offer = OFFER_NULL;
	size_t added = 0;
	int r;

	r = offer_read(broker, request, manner, &offer, refusal);
	if (r)
		return r;
	if (offer.pidfd >= 0) {
		r = registrants_watch_dup(
			broker->registrants, offer.owner->pid, offer.owner->uid, offer.pidfd);
		if (r < 0)
			return r;
	}
	r = stage_all(&offer, refusal);
	if (r) {
		undo(&offer);
		return r;
	}
	/* the last socket first, so that the first one of the packet ends up in front */
	for (size_t i = offer.n; i-- > 0;)
		if (commit(&offer, &offer.candidates[i])) {
			report(&offer, &offer.candidates[i]);
			added++;
		}
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_ADDED, "%zu", added);
	writer_put(answer, KEY_KEPT, "%zu", offer.n - added);
	return 0;
}
