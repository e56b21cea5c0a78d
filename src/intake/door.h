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

struct door;

/*
 * door_new() - bind and listen, in place of a socket that an earlier broker left
 * @path:    at most 107 bytes; its folder must exist
 * @handler: called for each request
 *
 * The caller must hold the lock of the instance (pins.h), or it takes the path from a live broker.
 */
int door_new(sd_event *event, const char *path,
	void (*handler)(struct session *session, struct session_request *request, void *userdata),
	void *userdata, struct door **ret);

/* door_free() - close all sessions and remove the path; accepts NULL, returns NULL */
struct door *door_free(struct door *door);
DEFINE_CLEANUP(struct door, door_free);
