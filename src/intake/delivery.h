/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A datagram that has left the queue of the notify door, or is leaving it, until it has been dealt with
 *
 * Those of one uid are dealt with in their order, and wait for each other; those of other uids do not.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../wire/notify.h"
#include "../wire/packet.h"
#include "request.h"

struct notify_door;
struct parcel;

struct delivery {
	struct intake_request request; /* first: delivery_of() finds the delivery by it */
	struct notify_door *door;
	struct delivery **list, *next; /* a later one */
	struct packet packet;
	struct notify notify;
	struct parcel *parcel; /* being fetched */
	bool begun;
};

static inline struct delivery *delivery_of(struct intake_request *request)
{
	return (struct delivery *)request;
}

static inline uid_t delivery_uid(const struct delivery *delivery)
{
	return delivery->request.identity.uid;
}

/* delivery_add() - at the end of a list. It takes packet and request over. Return: it, or NULL without memory. */
struct delivery *delivery_add(struct delivery **list, struct packet *packet,
	const struct intake_request *request, const struct notify *notify);

/* delivery_find_first() - the earliest of a uid, or NULL */
struct delivery *delivery_find_first(struct delivery *list, uid_t uid);

/* delivery_count() - those of a uid */
size_t delivery_count(const struct delivery *list, uid_t uid);

/* delivery_give_back() - undo delivery_add(): packet and request are the caller's again */
void delivery_give_back(struct delivery *delivery, struct packet *ret_packet);

/* delivery_free() - leaves its list; accepts NULL, returns NULL */
struct delivery *delivery_free(struct delivery *delivery);
