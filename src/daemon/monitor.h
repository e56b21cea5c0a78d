/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The request monitor: everything that the administrator is told, as rows for those who have subscribed
 *
 * There is one queue, of the last MONITOR_EVENTS rows, and each subscriber has his place in it. Who is slower than that
 * misses the oldest ones and is told how many (LOST=). Nobody waits for a subscriber, and without one there is no queue.
 */

#include "../intake/session.h"
#include "../util/macro.h"

#define MONITOR_EVENTS 256U
#define MONITOR_SUBSCRIBERS_MAX 64U

struct monitor;

struct monitor *monitor_new(void);

/* monitor_free() - after the sessions; accepts NULL, returns NULL */
struct monitor *monitor_free(struct monitor *monitor);

/*
 * monitor_subscribe() - have a session told of everything from now on
 * @events: words of observe_word() with colons, and what they stand for is told alone; NULL: everything
 * @answer: the answer to its request, without end
 *
 * Refused: there are MONITOR_SUBSCRIBERS_MAX already (EUSERS), an unknown word (EINVAL). Return: 0, REFUSED, or a negative errno.
 */
int monitor_subscribe(struct monitor *monitor, struct session *session, const char *events,
	struct session_source *answer, struct refusal *refusal);
