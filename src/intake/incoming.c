/* SPDX-License-Identifier: BSD-3-Clause */
#include "incoming.h"

#include <errno.h>
#include <stdlib.h>

#include "../util/errno_name.h"
#include "../util/macro.h"

int incoming_receive(int socket, struct incoming **ret, struct refusal *refusal)
{
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	bool has_fds = false;
	int r;

	if (!incoming)
		return -ENOMEM;
	incoming->packet.pidfd = incoming->request.own_pidfd = -1;
	r = packet_peek(socket, &incoming->packet, &has_fds, refusal);
	if ((r == 0 || r == PACKET_REFUSED) && !has_fds) {
		packet_deinit(&incoming->packet);
		r = packet_receive_with_pidfd(socket, &incoming->packet, refusal);
	}
	if (r < 0 || r == PACKET_AGAIN || r == PACKET_END) {
		(void)incoming_free(incoming);
		return r;
	}
	incoming->queued = has_fds;
	*ret = incoming;
	return r;
}

struct incoming *incoming_free(struct incoming *incoming)
{
	if (!incoming)
		return NULL;
	intake_request_deinit(&incoming->request);
	packet_deinit(&incoming->packet);
	free(incoming);
	return NULL;
}

bool incoming_drop(struct incoming *incoming)
{
	bool busy = incoming && (incoming->fetching || incoming->skip);

	if (!incoming)
		return false;
	parcel_release(incoming->fetching, NULL, NULL);
	parcel_release(incoming->closing, NULL, NULL);
	sweeper_cancel(incoming->skip);
	(void)incoming_free(incoming);
	return busy;
}

bool incoming_is_busy(const struct incoming *incoming)
{
	return incoming->fetching || incoming->closing || incoming->skip;
}

int incoming_parse(struct incoming *incoming, struct refusal *refusal)
{
	struct packet *packet = &incoming->packet;
	int r = message_parse(&incoming->message, packet->text, packet->size, refusal);

	if (r)
		return r;
	intake_request_init(&incoming->request, packet);
	incoming->request.message = &incoming->message;
	return 0;
}

/* What the descriptors are */
static void on_parcel(struct parcel *parcel, void *userdata)
{
	struct incoming *incoming = userdata;

	incoming->fetching = NULL;
	incoming->queued = false;
	incoming->lost |= parcel->lost;
	intake_request_open(&incoming->request, parcel);
	if (parcel->result < 0)
		(void)refuse(&parcel->refusal, -parcel->result, "the packet could not be received (%s)",
			errno_name(-parcel->result));
	incoming->fetched(parcel->result ? &parcel->refusal : NULL, incoming->userdata);
}

int incoming_fetch(struct incoming *incoming, const struct staff *staff, int socket,
	void (*fetched)(const struct refusal *refusal, void *userdata), void *userdata,
	struct refusal *refusal)
{
	const char *owner = message_get(&incoming->message, KEY_OWNER);

	incoming->fetched = fetched;
	incoming->userdata = userdata;
	return parcel_fetch(staff->crew, owner ? CREW_UID_FOUND : incoming->packet.credentials.uid, socket,
		owner, staff->netns_cookie, NULL, on_parcel, incoming, &incoming->fetching, refusal);
}

static void on_skipped(bool skipped, void *userdata)
{
	struct incoming *incoming = userdata;

	incoming->skip = NULL;
	incoming->queued = false;
	incoming->lost |= !skipped;
	incoming->cleared(skipped, incoming->userdata);
}

static void on_closed(struct parcel *parcel, void *userdata)
{
	struct incoming *incoming = userdata;

	incoming->closing = NULL;
	parcel_release(parcel, NULL, NULL);
	incoming->cleared(true, incoming->userdata);
}

int incoming_clear(struct incoming *incoming, const struct staff *staff, int socket,
	void (*cleared)(bool cleared, void *userdata), void *userdata)
{
	incoming->cleared = cleared;
	incoming->userdata = userdata;
	if (incoming->queued) {
		incoming->skip = sweeper_skip(staff->sweeper, socket, on_skipped, incoming);
		return incoming->skip ? INCOMING_CLEARS : -ENOMEM;
	}
	if (incoming->request.parcel && parcel_is_open(incoming->request.parcel)) {
		incoming->closing = TAKE_PTR(incoming->request.parcel);
		parcel_close(incoming->closing, on_closed, incoming);
		return INCOMING_CLEARS;
	}
	return 0;
}
