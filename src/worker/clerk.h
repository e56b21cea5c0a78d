/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Users and groups looked up by another process
 *
 * A name service may be a directory on another host, and wait for as long as it likes. So the broker asks a process, one
 * name at a time, and goes on with other work until the answer or CLERK_PATIENCE_MS have come. The process is forked when
 * it is needed, and ends when nothing is left to ask.
 */

#include <systemd/sd-event.h>

#include "../account/account.h"
#include "../util/macro.h"

#define CLERK_PATIENCE_MS 1000U

struct clerk;

/*
 * clerk_new() - no process is started yet
 * @nursery:  borrowed
 * @answered: called from the event loop once for each clerk_ask(); @result as account_find(): -ETIMEDOUT when time was up,
 *            -ECHILD when the process ended or could not be started
 */
int clerk_new(sd_event *event, int nursery, void (*answered)(int result, id_t id, void *userdata),
	void *userdata, struct clerk **ret);

/* clerk_ask() - nothing else is being asked; @name is at most ACCOUNT_NAME_MAX long */
void clerk_ask(struct clerk *clerk, enum account_kind kind, const char *name);

/* clerk_rest() - nothing is left to ask: the process ends */
void clerk_rest(struct clerk *clerk);

/* clerk_free() - accepts NULL, returns NULL */
struct clerk *clerk_free(struct clerk *clerk);
DEFINE_CLEANUP(struct clerk, clerk_free);
