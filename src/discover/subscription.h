/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The connection on which the broker sends events (request `monitor` of docs/protocol.md)
 *
 * When it ends, it is opened again: at once, then after growing pauses of up to SUBSCRIPTION_PAUSE_MS.
 */

#include <systemd/sd-event.h>

#include "../observe/observe.h"
#include "../util/error.h"
#include "../util/macro.h"
#include "../wire/message.h"

#define SUBSCRIPTION_PAUSE_MS 5000U

struct subscription;

struct subscription_handlers {
	void (*up)(void *userdata); /* events come from now on; earlier ones are unknown */
	void (*event)(const struct message *event, void *userdata);
	void (*down)(
		const struct refusal *why, void *userdata); /* called each time it ends or cannot be opened */
	void *userdata;
};

/*
 * subscription_new() - subscribe; the first attempt is made when the event loop runs
 * @path: of the broker's socket, or NULL as for client_open(); borrowed
 * @events, @n_events: EVENTS= of the request: no others are sent; borrowed
 *
 * Return: 0 or a negative errno.
 */
int subscription_new(sd_event *event, const char *path, const enum observe_kind *events, size_t n_events,
	const struct subscription_handlers *handlers, struct subscription **ret);

/* subscription_free() - accepts NULL, returns NULL */
struct subscription *subscription_free(struct subscription *subscription);
DEFINE_CLEANUP(struct subscription, subscription_free);
