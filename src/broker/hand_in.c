/* SPDX-License-Identifier: BSD-3-Clause */

#include "hand_in.h"

#include <errno.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../datapath/group.h"
#include "../holder/store.h"
#include "../observe/observe.h"
#include "../util/transport.h"
#include "../worker/staff.h"
#include "early.h"
#include "orphans.h"
#include "place.h"
#include "reap.h"
#include "reservation.h"
#include "udp_note.h"

/*
 * A hand-in under way: slots are reserved, a worker puts the sockets there. It outlives its request when the worker
 * failed: until that has ended it may still fill a slot.
 */
struct hand_in {
	struct broker *broker;
	struct hand_in *next;
	struct offer offer;
	struct generation *generation; /* that the offer was read by */
	struct parcel *parcel;
	struct reservation reservation;
	bool committed;		     /* there is nothing to undo any more */
	bool dropped;		     /* orphans, which are being closed */
	struct sweeper_skip *settle; /* until they are */
	struct hand_in_outcome outcome;
	hand_in_function *done;
	void *userdata;
};

/* In a full seat the last place that leaves makes room in the same step, so that it serves until the new one does. */
static void replace(struct hand_in *hand_in, const struct offered_socket *socket, const struct aim *aim,
	unsigned rank, uint32_t last)
{
	struct broker *broker = hand_in->broker;
	uint64_t cookies[USHER_MEMBERS_MAX];
	unsigned n = 0;

	registry_foreach_socket (&broker->registry, aim->seat, walk)
		if (group_slot(walk.key.slot) == last)
			cookies[n++] = walk.cookie;
	registry_replace(&broker->registry, aim->seat, aim->slot, rank, last);
	for (unsigned i = 0; i < n; i++)
		orphans_let_go(broker, socket->rule->name, cookies[i]);
	hand_in->dropped = true;
}

static void commit_aim(struct hand_in *hand_in, const struct offered_socket *socket, const struct aim *aim)
{
	struct offer *offer = &hand_in->offer;
	struct registry *registry = &offer->broker->registry;
	unsigned rank = reservation_rank(offer, aim);
	uint32_t last;

	if (!registry_is_seated(registry, aim->seat, aim->slot) && registry_is_full(registry, aim->seat) &&
		reservation_count_leaving(offer, socket, aim->seat, &last))
		replace(hand_in, socket, aim, rank, last);
	else
		registry_commit(registry, aim->seat, aim->slot, rank);
}

/* An orphan that stayed would only fill its backlog. Return: whether there was one. */
static bool drop_orphans(struct offer *offer, const struct offered_socket *socket, uint32_t seat)
{
	bool any = false;

	if (!holder_count(offer->broker->holder))
		return false;
	registry_foreach_socket (&offer->broker->registry, seat, walk)
		if (reservation_is_leaving(offer, socket, walk.cookie)) {
			orphans_let_go(offer->broker, socket->rule->name, walk.cookie);
			any = true;
		}
	return any;
}

/* A socket that was there already keeps its rank. Its owner, its options, and whether it is held may have changed. */
static void commit_kept(struct offer *offer, const struct offered_socket *socket, const struct aim *aim)
{
	struct registry_place place;

	if (!registry_find_socket(&offer->broker->registry, aim->seat, socket->facts.cookie, &place))
		return;
	place_set_owner(&place.data, offer->request->owner);
	place.data.destination = socket->facts.destination;
	place.data.device = socket->facts.device;
	place.data.flags &= (uint8_t)~USHER_PLACE_RELEASED;
	if (offer->request->hold)
		place.data.flags |= USHER_PLACE_HELD;
	(void)registry_write_place(&offer->broker->registry, &place);
}

/* Nobody would tell the end of a process that is not watched. */
static pid_t process_of(const struct offer *offer)
{
	pid_t pid = offer->request->owner->pid;

	return registrants_is_watched(offer->broker->registrants, pid) ? pid : 0;
}

/* It joins those that serve. */
static bool is_member(const struct aim *aim, const struct registry_place *first)
{
	return group_slot(first->key.slot) == group_slot(aim->slot);
}

/*
 * Who serves before a socket takes over, if that is somebody else: another unit, or without units another process.
 * Return: is there?
 */
static bool find_displaced(const struct offer *offer, const struct aim *aim, struct usher_place *ret)
{
	const struct identity *owner = offer->request->owner;
	struct registry_place first;

	if (!aim->staged || reservation_rank(offer, aim) ||
		!registry_read_first(&offer->broker->registry, aim->seat, &first) || is_member(aim, &first))
		return false;
	*ret = first.data;
	if (*first.data.unit || *owner->unit)
		return strncmp(first.data.unit, owner->unit, sizeof(first.data.unit) - 1) != 0;
	return first.data.pid != (uint32_t)owner->pid || first.data.uid != owner->uid;
}

/* Return: whether the socket is new in any of its seats. */
static bool commit(struct hand_in *hand_in, const struct offered_socket *socket)
{
	struct offer *offer = &hand_in->offer;
	bool added = false;

	for (size_t k = 0; k < socket->n_aims; k++) {
		const struct aim *aim = &socket->aims[k];

		if (!aim->staged) {
			commit_kept(offer, socket, aim);
			continue;
		}
		commit_aim(hand_in, socket, aim);
		hand_in->dropped |= drop_orphans(offer, socket, aim->seat);
		added = true;
	}
	if (offer->request->hold)
		holder_assign(
			offer->broker->holder, socket->rule->name, socket->facts.cookie, process_of(offer));
	(void)early_take_out(offer->broker, socket->rule->name, socket->facts.cookie);
	return added;
}

/* "nginx.service", or "process 7" without a unit */
static const char *format_owner(const struct usher_place *place, char text[static sizeof(place->unit) + 16])
{
	if (*place->unit)
		(void)snprintf(text, sizeof(place->unit) + 16, "%s", place->unit);
	else
		(void)snprintf(text, sizeof(place->unit) + 16, "process %u", place->pid);
	return text;
}

/* @displaced: who served before; NULL: nobody else */
static void report_handed_in(
	const struct offer *offer, const struct offered_socket *socket, const struct usher_place *displaced)
{
	const struct aim *aim = &socket->aims[0];
	const struct usher_seat *seat = &offer->broker->registry.seats[aim->seat];
	const struct usher_place place =
		place_make(&socket->facts, offer->request->owner, offer->request->via, 0);
	struct observed about = place_observed(offer->broker, seat, &place);
	char address[ENDPOINT_TEXT_MAX], other[ENDPOINT_TEXT_MAX], owner[sizeof(place.unit) + 16];
	const char *held = offer->request->hold ? ", held," : "";

	about.uid = offer->request->owner->uid;
	about.by_client = true;
	about.pid = offer->request->owner->pid;
	if (displaced)
		observe(OBSERVE_HANDED_IN, &about,
			"'%s': the %s socket at %s is handed in%s and serves, in place of that of %s at %s",
			seat->name, protocol_name(seat->protocol), place_address(&place, address), held,
			format_owner(displaced, owner), place_address(displaced, other));
	else
		observe(OBSERVE_HANDED_IN, &about, "'%s': the %s socket at %s is handed in%s and serves",
			seat->name, protocol_name(seat->protocol), place_address(&place, address), held);
}

/* ---- the steps */

static void hand_in_free(struct hand_in *hand_in)
{
	struct hand_in **at = &hand_in->broker->hand_ins;

	while (*at && *at != hand_in)
		at = &(*at)->next;
	if (*at)
		*at = hand_in->next;
	parcel_release(hand_in->parcel, NULL, NULL);
	generation_unref(hand_in->generation);
	offer_deinit(&hand_in->offer);
	free(hand_in);
}

static void finish(struct hand_in *hand_in, int result, const struct refusal *refusal)
{
	if (hand_in->done)
		hand_in->done(result, &hand_in->outcome, refusal, hand_in->userdata);
	hand_in_free(hand_in);
}

static void on_gone(void *userdata)
{
	struct hand_in *hand_in = userdata;

	reservation_undo(&hand_in->offer);
	hand_in_free(hand_in);
}

/* The request has its answer, the worker is not trusted to have stopped. */
static void give_up(struct hand_in *hand_in, int result, const struct refusal *refusal)
{
	if (hand_in->done)
		hand_in->done(result, &hand_in->outcome, refusal, hand_in->userdata);
	hand_in->done = NULL;
	parcel_release(TAKE_PTR(hand_in->parcel), on_gone, hand_in);
}

static int refuse_item(const struct hand_in *hand_in, struct refusal *refusal)
{
	const struct parcel *parcel = hand_in->parcel;

	(void)registry_refuse_socket(refusal, -parcel->result);
	return parcel->failed < parcel->work.n_items
		       ? offer_refuse(&hand_in->offer, parcel->work.items[parcel->failed].index, refusal)
		       : REFUSED;
}

/* The rules may have changed meanwhile: what was checked by the old ones must be so by the new ones. */
static int check_again(struct hand_in *hand_in, struct refusal *refusal)
{
	_cleanup_(offer_deinit) struct offer again = OFFER_NULL;
	struct offer *offer = &hand_in->offer;
	bool same = true;
	int r;

	if (hand_in->broker->generation == hand_in->generation)
		return 0;
	r = offer_read(hand_in->broker, offer->request, &again, refusal);
	if (r)
		return r;
	for (size_t i = 0; same && i < offer->request->n; i++) {
		same = again.sockets[i].n_aims == offer->sockets[i].n_aims;
		for (size_t k = 0; same && k < again.sockets[i].n_aims; k++)
			same = again.sockets[i].aims[k].seat == offer->sockets[i].aims[k].seat;
		offer->sockets[i].rule = again.sockets[i].rule;
	}
	generation_unref(hand_in->generation);
	hand_in->generation = generation_ref(hand_in->broker->generation);
	return same ? 0
		    : refuse(refusal, EAGAIN,
			      "the rules changed while the sockets were handed in (EAGAIN); try again");
}

static void drop_held(struct hand_in *hand_in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct offered_socket *socket = &hand_in->offer.sockets[hand_in->reservation.hold[i]];

		(void)holder_drop(hand_in->broker->holder, socket->rule->name, socket->facts.cookie);
	}
}

/* Takes the duplicates over, of which the worker still has its own. */
static int hold_all(struct hand_in *hand_in, struct refusal *refusal)
{
	struct parcel *parcel = hand_in->parcel;

	if (parcel->n_held < hand_in->reservation.n_hold)
		return refuse(refusal, EMFILE,
			"cannot be held: the broker has reached its limit of open files (EMFILE); raise LimitNOFILE= of usherd.service");
	for (size_t i = 0; i < hand_in->reservation.n_hold; i++) {
		const struct offered_socket *socket = &hand_in->offer.sockets[hand_in->reservation.hold[i]];
		int r = holder_hold_consume(hand_in->broker->holder, socket->rule->name, socket->facts.cookie,
			TAKE_FD(parcel->held[i]), process_of(&hand_in->offer));

		if (r < 0) {
			drop_held(hand_in, i);
			return r;
		}
	}
	return 0;
}

static void commit_all(struct hand_in *hand_in)
{
	struct offer *offer = &hand_in->offer;
	size_t added = 0;

	hand_in->committed = true;
	/* the last socket first, so that the first one of the packet ends up in front */
	for (size_t i = offer->request->n; i-- > 0;) {
		struct usher_place place;
		bool displaces = find_displaced(offer, &offer->sockets[i].aims[0], &place);

		if (commit(hand_in, &offer->sockets[i])) {
			report_handed_in(offer, &offer->sockets[i], displaces ? &place : NULL);
			udp_note(offer->broker, &offer->sockets[i]);
			added++;
		}
	}
	for (size_t i = 0; i < offer->request->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++)
			if (offer->sockets[i].aims[k].staged)
				registry_check_front(
					&offer->broker->registry, offer->sockets[i].aims[k].seat);
	hand_in->outcome = (struct hand_in_outcome){.added = added, .kept = offer->request->n - added};
}

static void on_settled(bool settled, void *userdata)
{
	struct hand_in *hand_in = userdata;
	const struct offer *offer = &hand_in->offer;

	(void)settled;
	hand_in->settle = NULL;
	for (size_t i = 0; i < offer->n; i++)
		for (size_t k = 0; k < offer->sockets[i].n_aims; k++)
			(void)reap_seat(hand_in->broker, offer->sockets[i].aims[k].seat);
	finish(hand_in, 0, NULL);
}

/* The orphans have left their seats when this is answered, unless somebody else has them open. */
static void settle(struct hand_in *hand_in)
{
	if (hand_in->dropped)
		hand_in->settle = sweeper_settle(hand_in->broker->staff->sweeper, on_settled, hand_in);
	if (!hand_in->settle)
		finish(hand_in, 0, NULL);
}

/* Whatever came of that: the sockets are in. */
static void on_closed(struct parcel *parcel, void *userdata)
{
	(void)parcel;
	settle(userdata);
}

static void on_staged(struct parcel *parcel, void *userdata)
{
	struct hand_in *hand_in = userdata;
	struct refusal refusal = parcel->refusal;
	int r = parcel->result;

	if (parcel->lost) {
		give_up(hand_in, r, &refusal);
		return;
	}
	if (r < 0)
		r = refuse_item(hand_in, &refusal);
	if (!r)
		r = check_again(hand_in, &refusal);
	if (!r)
		r = reservation_check(&hand_in->offer, &refusal);
	if (!r && hand_in->reservation.n_hold)
		r = hold_all(hand_in, &refusal);
	if (r) {
		reservation_undo(&hand_in->offer);
		finish(hand_in, r, &refusal);
		return;
	}
	commit_all(hand_in);
	if (hand_in->reservation.n_hold)
		parcel_close(parcel, on_closed, hand_in);
	else
		settle(hand_in);
}

int hand_in_begin(struct broker *broker, const struct offer_request *request, struct parcel **parcel,
	hand_in_function *done, void *userdata, struct hand_in **ret, struct refusal *refusal)
{
	struct hand_in *hand_in = calloc(1, sizeof(*hand_in));
	int r;

	if (!hand_in)
		return -ENOMEM;
	*hand_in = (struct hand_in){.broker = broker, .done = done, .userdata = userdata};
	r = offer_read(broker, request, &hand_in->offer, refusal);
	if (!r && request->pidfd >= 0)
		r = registrants_watch_dup(
			broker->registrants, request->owner->pid, request->owner->uid, request->pidfd);
	if (!r)
		r = reservation_make(&hand_in->reservation, &hand_in->offer, refusal);
	if (r) {
		reservation_undo(&hand_in->offer);
		hand_in_free(hand_in);
		return r;
	}
	hand_in->dropped = hand_in->reservation.dropped;
	hand_in->generation = generation_ref(broker->generation);
	hand_in->next = broker->hand_ins;
	broker->hand_ins = hand_in;
	hand_in->parcel = TAKE_PTR(*parcel);
	parcel_stage(hand_in->parcel, hand_in->reservation.items, hand_in->reservation.n_items,
		hand_in->reservation.hold, hand_in->reservation.n_hold, on_staged, hand_in);
	*ret = hand_in;
	return 0;
}

void hand_in_cancel(struct hand_in *hand_in)
{
	hand_in->done = NULL;
	if (hand_in->committed) {
		sweeper_cancel(hand_in->settle);
		hand_in_free(hand_in);
		return;
	}
	parcel_release(TAKE_PTR(hand_in->parcel), on_gone, hand_in);
}

bool hand_in_needs_seat(const struct broker *broker, uint32_t seat)
{
	for (const struct hand_in *hand_in = broker->hand_ins; hand_in; hand_in = hand_in->next)
		for (size_t i = 0; i < hand_in->offer.n; i++)
			for (size_t k = 0; k < hand_in->offer.sockets[i].n_aims; k++)
				if (hand_in->offer.sockets[i].aims[k].staged &&
					hand_in->offer.sockets[i].aims[k].seat == seat)
					return true;
	return false;
}
