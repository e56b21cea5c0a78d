/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A packet of a client, from when it is looked at until it is answered
 *
 * Its text is received at once. If descriptors came with it, it stays in the queue of the socket, until a worker has
 * fetched them (incoming_fetch()) or they have been thrown away (incoming_clear()).
 */

#include <stdbool.h>

#include "../util/error.h"
#include "../wire/message.h"
#include "../wire/packet.h"
#include "../worker/staff.h"
#include "request.h"

struct incoming {
	struct packet packet;
	struct message message;
	struct intake_request request;
	bool queued;		   /* its descriptors, and so itself, are still in the queue of the socket */
	bool lost;		   /* a worker that failed may still receive from the socket */
	struct parcel *fetching;   /* they are being received */
	struct parcel *closing;	   /* they are being closed */
	struct sweeper_skip *skip; /* they are being thrown away */

	void (*fetched)(const struct refusal *refusal, void *userdata);
	void (*cleared)(bool cleared, void *userdata);
	void *userdata;
};

/*
 * incoming_receive() - the next packet of a socket
 * @ret: set on 0 and PACKET_REFUSED
 *
 * Return: as packet_receive().
 */
int incoming_receive(int socket, struct incoming **ret, struct refusal *refusal);

/* incoming_free() - accepts NULL, returns NULL; nothing is under way about its descriptors */
struct incoming *incoming_free(struct incoming *incoming);

/* incoming_drop() - whatever is under way; accepts NULL. Return: whether somebody may be receiving from the socket */
bool incoming_drop(struct incoming *incoming);

/* incoming_is_busy() - whether something is under way about its descriptors */
bool incoming_is_busy(const struct incoming *incoming);

/* incoming_parse() - make a request of the text. Return: 0, or REFUSED */
int incoming_parse(struct incoming *incoming, struct refusal *refusal);

/*
 * incoming_fetch() - have a worker receive its descriptors, and look at them
 * @fetched: called from the event loop, with what went wrong or NULL
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int incoming_fetch(struct incoming *incoming, const struct staff *staff, int socket,
	void (*fetched)(const struct refusal *refusal, void *userdata), void *userdata,
	struct refusal *refusal);

/* Outcome of incoming_clear() besides 0 */
enum { INCOMING_CLEARS = 1 }; /* `cleared` will be called */

/*
 * incoming_clear() - have the descriptors that nobody took thrown away or closed
 * @cleared: called from the event loop; false when the packet may still be in the queue
 *
 * Return: 0 when there are none, INCOMING_CLEARS, or a negative errno.
 */
int incoming_clear(struct incoming *incoming, const struct staff *staff, int socket,
	void (*cleared)(bool cleared, void *userdata), void *userdata);
