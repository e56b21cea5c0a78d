/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The request monitor: all messages to the administrator, as rows for the sessions that have subscribed
 *
 * One queue holds the last MONITOR_EVENTS rows, and each subscriber has a position in it. A slower subscriber loses the
 * oldest rows; LOST= says how many. Nothing waits for a subscriber, and without subscribers there is no queue.
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
 * monitor_subscribe() - send a session all messages from now on
 * @events: words of observe_word(), separated by colons: send only these kinds; NULL: send all
 * @answer: the answer to its request, without end
 *
 * Refused: MONITOR_SUBSCRIBERS_MAX sessions have subscribed already (EUSERS), an unknown word (EINVAL).
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int monitor_subscribe(struct monitor *monitor, struct session *session, const char *events,
	struct answer_source *answer, struct refusal *refusal);
