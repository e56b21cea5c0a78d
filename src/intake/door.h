/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The listening socket /run/usher/usher.sock and its sessions
 *
 * Quotas: DOOR_SESSIONS_PER_UID sessions for each uid, DOOR_SESSIONS_MAX for all of them; root has no quota. Subordinate
 * uids count as their owner (subuids.h). A client beyond a quota gets EUSERS and is disconnected. When all places are taken,
 * though, a uid with fewer sessions than another one is let in: of those with most, the idlest session ends. When the process has no descriptor left, accepting pauses for a moment
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
 * door_new() - bind and listen, replacing a socket that an earlier broker left, or take one that listens
 * @passed_consume: a listening socket from the service manager, consumed; or -1
 * @path:           where to bind otherwise (local_socket.h); its folder must exist
 * @admit:          as in struct session_handlers
 * @handler:        called for each request
 */
int door_new(sd_event *event, const struct staff *staff, int passed_consume, const char *path,
	int (*admit)(struct session *session, const struct intake_request *request, struct refusal *refusal,
		void *userdata),
	void (*handler)(struct session *session, struct intake_request *request, void *userdata),
	void *userdata, struct door **ret);

/*
 * door_finish() - accept no more clients, and exit the event loop when those that are connected have been answered
 *
 * New clients wait in the listening socket. If that is the service manager's, the next broker serves them. The broker
 * waits DOOR_FINISH_MS at most, because a client may never send its request.
 *
 * Return: 0 or a negative errno.
 */
int door_finish(struct door *door);

/*
 * door_read_owners() - read anew whose the subordinate uids are
 *
 * Return: 0 or -ENOMEM; then some sessions may not be counted.
 */
int door_read_owners(struct door *door);

/* door_count() - how many sessions there are */
size_t door_count(const struct door *door);

/* door_free() - close all sessions; removes the path unless the socket was passed; accepts NULL, returns NULL */
struct door *door_free(struct door *door);
DEFINE_CLEANUP(struct door, door_free);
