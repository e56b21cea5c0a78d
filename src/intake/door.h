/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The listening socket /run/usher/usher.sock and the sessions behind it
 *
 * Quotas: DOOR_SESSIONS_PER_UID sessions for each uid but root, DOOR_SESSIONS_MAX for all of them but root's. Who is
 * over it is told so (EUSERS) and closed. When the process has no descriptor left, accepting pauses for a moment
 * instead of spinning.
 */

#include <systemd/sd-event.h>

#include "../util/macro.h"
#include "session.h"

#define DOOR_SESSIONS_PER_UID 64U
#define DOOR_SESSIONS_MAX 1024U

#define DOOR_FINISH_MS 200U

struct door;

/*
 * door_new() - bind and listen, in place of a socket that an earlier broker left, or take one that listens
 * @passed_consume: a listening socket from the service manager, consumed; or -1
 * @path:           where to bind otherwise (local_socket.h); its folder must exist
 * @handler:        called for each request
 */
int door_new(sd_event *event, int passed_consume, const char *path,
	void (*handler)(struct session *session, struct intake_request *request, void *userdata),
	void *userdata, struct door **ret);

/*
 * door_finish() - let nobody in any more, and exit the event loop when whoever is in has been answered
 *
 * Clients that come from now on wait in the listening socket, for the next broker if that is the service manager's.
 * DOOR_FINISH_MS at most: a client that asks nothing is not waited for.
 *
 * Return: 0 or a negative errno.
 */
int door_finish(struct door *door);

/* door_count() - how many sessions there are */
size_t door_count(const struct door *door);

/* door_free() - close all sessions; removes the path unless the socket was passed; accepts NULL, returns NULL */
struct door *door_free(struct door *door);
DEFINE_CLEANUP(struct door, door_free);
