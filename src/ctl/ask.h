/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Requests to the broker, as the verbs make them */

#include "../lib/client.h"
#include "ctl.h"

/* How long the broker may be silent without --timeout, in milliseconds */
#define ASK_TIMEOUT_MS 5000
#define ASK_RELOAD_TIMEOUT_MS 90000 /* a million prefixes take seconds to compile and to load */

/* ask_open() - connect to the broker of the command line; Return: as client_open() */
int ask_open(struct client *client, const struct ctl *ctl, int timeout_ms, struct refusal *refusal);

/*
 * ask() - send a request and read the answer
 * @fds, @n_fds: descriptors to send along; they remain the caller's
 * @row:         called for each row, which is client->message and client->reply; a result other than 0 ends the answer.
 *               NULL for a request that has no rows: any that come are skipped.
 *
 * On 0, and when the broker refuses, client->message is the last packet.
 *
 * Return: 0, REFUSED, or what @row returned: a negative errno.
 */
int ask(struct client *client, struct writer *request, const int *fds, size_t n_fds,
	int (*row)(struct client *client, void *userdata), void *userdata, struct refusal *refusal);

/*
 * ask_each() - send a reading request once for each name of the command line, or once without a name
 *
 * A repeated name is asked for once. Connects, complains on failure, and disconnects.
 *
 * Return: an exit code.
 */
int ask_each(const struct ctl *ctl, enum request_verb verb, const char *what,
	int (*row)(struct client *client, void *userdata), void *userdata);

/* ask_value() - the value of a key in the current packet, or @otherwise if the broker did not send it */
const char *ask_value(const struct client *client, enum message_key key, const char *otherwise);
