/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The datagram socket /run/usher/notify, which speaks the sd_notify protocol
 *
 * For services that use FDSTORE=1 already and know nothing of usher. There are no answers. The socket does not replace
 * the service manager's $NOTIFY_SOCKET: a service sends there as well.
 *
 * The supplementary groups of a sender are not known here, in contrast to usher.sock.
 */

#include <systemd/sd-event.h>

#include "../util/macro.h"
#include "../wire/notify.h"
#include "../worker/staff.h"
#include "request.h"

struct notify_door;

struct notify_handlers {
	/* whether the descriptors of a NOTIFY_STORE are to be fetched, as in struct session_handlers; reports it if not */
	bool (*admit)(const struct intake_request *request, const struct notify *notify, void *userdata);
	/*
	 * NOTIFY_STORE or NOTIFY_REMOVE; the request has no message. Return: whether it is done; for false, which a
	 * request with a parcel alone may have, notify_door_done() follows, or the door calls cancel() before.
	 */
	bool (*request)(struct intake_request *request, const struct notify *notify, void *userdata);
	/* a datagram was refused; `identity` is NULL when its sender is not known */
	void (*refused)(const struct identity *identity, const struct refusal *refusal, void *userdata);
	/* what request() had begun is over */
	void (*cancel)(struct intake_request *request, void *userdata);
	void *userdata;
};

/* notify_door_done() - a request is dealt with; it is freed */
void notify_door_done(struct intake_request *request);

/*
 * notify_door_new() - bind, replacing a socket that an earlier broker left, or take one that is bound
 * @passed_consume: a bound socket from the service manager, consumed; or -1
 * @path:           where to bind otherwise
 */
int notify_door_new(sd_event *event, const struct staff *staff, int passed_consume, const char *path,
	const struct notify_handlers *handlers, struct notify_door **ret);

/* notify_door_free() - removes the path unless the socket was passed; accepts NULL, returns NULL */
struct notify_door *notify_door_free(struct notify_door *door);
DEFINE_CLEANUP(struct notify_door, notify_door_free);
