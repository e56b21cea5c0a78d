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
 * reservation_is_leaving() - whether a socket leaves its seat when a newer one is committed
 *
 * It is held for a process that has ended, nobody claimed it, and it is not offered again.
 */
bool reservation_is_leaving(const struct offer *offer, const struct offered_socket *socket, uint64_t cookie);

/*
 * reservation_count_leaving() - places of which all sockets leave
 * @ret_last: the slot of the last one in the order, if there is one
 */
unsigned reservation_count_leaving(
	const struct offer *offer, const struct offered_socket *socket, uint32_t seat, uint32_t *ret_last);

/* reservation_undo() - give the slots back, with what is in them */
void reservation_undo(struct offer *offer);

/* reservation_rank() - how many other places of the seat stay in front of its place */
unsigned reservation_rank(const struct offer *offer, const struct aim *aim);
