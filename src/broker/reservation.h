/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The slots that sockets of an offer get before they are in, and what a worker has to do for that */

#include "offer.h"

struct reservation {
	struct work_item items[WORK_ITEMS_MAX]; /* what is to be staged */
	size_t n_items;
	uint8_t hold[PROTOCOL_HAND_IN_MAX]; /* sockets that are to be held and are not yet */
	size_t n_hold;
	bool dropped; /* orphans, for room in the store */
};

/*
 * reservation_make() - reserve a slot for each aim whose socket is not there
 * @ret:   all zero
 * @offer: its aims know their slots afterwards, and whether they are `staged`
 *
 * Refused: a seat is full; the service manager's store is. Return: 0, REFUSED, or a negative errno; what was reserved
 * before a failure is, until reservation_undo().
 */
int reservation_make(struct reservation *ret, struct offer *offer, struct refusal *refusal);

/*
 * reservation_check() - whether the sockets still fit, before they are committed
 *
 * Meanwhile an orphan that was to leave may have been claimed, or let go of and not closed yet. Return: 0, or REFUSED.
 */
int reservation_check(const struct offer *offer, struct refusal *refusal);

/*
 * reservation_read_leaving() - what leaves a seat when a newer socket is committed
 *
 * It is held for a process that has ended, nobody claimed it, and it is not offered again. Return: how many.
 */
unsigned reservation_read_leaving(const struct offer *offer, const struct offered_socket *socket,
	uint32_t seat, struct registry_place ret[static USHER_PLACES_MAX]);

/* reservation_undo() - give the slots back, with what is in them */
void reservation_undo(struct offer *offer);

/* reservation_find_place() - where a socket is already; Return: whether it is */
bool reservation_find_place(const struct offer *offer, const struct offered_socket *socket,
	const struct aim *aim, struct registry_place *ret);

/* reservation_rank() - how many sockets of the seat stay in front of it */
unsigned reservation_rank(const struct offer *offer, const struct aim *aim);
