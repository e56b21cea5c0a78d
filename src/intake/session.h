/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One client of usher.sock: its packets in, its answers out
 *
 * A session has at most one request under way, and each packet of its answer is made when the socket has room for it. So
 * a client that does not read costs a descriptor and a few kilobytes, until SESSION_IDLE_SECONDS have passed. A packet
 * that cannot be read is answered with a refusal and ends the session.
 *
 * An answer may be without end: it gets a row for each event. Such a session lasts until the client hangs up, however
 * long nothing happens. It takes no further request: the broker refuses it and ends the session.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "../util/error.h"
#include "../wire/message.h"
#include "../worker/staff.h"
#include "answer.h"
#include "request.h"
#include "turns.h"

/* A session on which nothing was sent or received for this long is closed. */
#define SESSION_IDLE_SECONDS 30

struct session;

struct session_handlers {
	/*
	 * Whether the descriptors that came with a request are to be fetched. Their number is not known yet. When the
	 * answer is a refusal (REFUSED, or a negative errno), they are thrown away unseen and the client gets it.
	 */
	int (*admit)(struct session *session, const struct intake_request *request, struct refusal *refusal,
		void *userdata);
	/* Answers a request by exactly one of session_answer(), session_refuse(), session_answer_rows(), or by
	 * session_defer(). */
	void (*request)(struct session *session, struct intake_request *request, void *userdata);
	/* The session has ended; it is freed when this returns. */
	void (*end)(struct session *session, void *userdata);
	struct turns *turns; /* NULL: the session is served whenever it has something to do */
	uid_t tenant;	     /* whose turns it takes */
	void *userdata;
};

/*
 * session_new_consume_fd() - serve a connected socket
 * @fd: accepted from a listener with credentials asked for; non-blocking, close-on-exec; consumed
 */
int session_new_consume_fd(sd_event *event, const struct staff *staff, int fd,
	const struct session_handlers *handlers, struct session **ret);

/*
 * session_begin() - answer the first request if it has been sent already, which saves a turn of the event loop
 *
 * The session may have ended when this returns.
 */
void session_begin(struct session *session);

/* session_free() - without calling end(); accepts NULL, returns NULL */
struct session *session_free(struct session *session);

/* session_active() - when anything was sent or received last; CLOCK_MONOTONIC, ns */
uint64_t session_active(const struct session *session);

/* session_evict() - end it, because others need its place; for end() as well. Not from a handler. */
void session_evict(struct session *session, const struct refusal *refusal);

/* For the door: where it keeps the session. */
void session_set_number(struct session *session, size_t number);
size_t session_number(const struct session *session);

/* session_uid() - of the process that connected */
uid_t session_uid(const struct session *session);

void session_answer(struct session *session, const struct writer *packet);
void session_refuse(struct session *session, const struct refusal *refusal);
void session_answer_rows(struct session *session, const struct answer_source *source);

/*
 * session_defer() - answer later: by one of the three above, and then session_resume()
 * @cancel: called when the session ends before that; it is not resumed then
 *
 * The request stays where it is until then, and the client is not listened to.
 */
void session_defer(struct session *session, void (*cancel)(void *userdata), void *userdata);
void session_resume(struct session *session);

/* session_wake() - an answer without end, not released yet, has another packet; it is sent when the event loop runs */
void session_wake(struct session *session);

/*
 * session_time() - measure how long a request takes, from its packet until its answer has been sent
 * @tell: called with that time, unless the client leaves before
 *
 * For a handler, in addition to its answer.
 */
void session_time(struct session *session, void (*tell)(uint64_t nsec, void *userdata), void *userdata);

/* session_is_fresh() - whether the client has asked nothing yet */
bool session_is_fresh(const struct session *session);

/* session_has_answered() - whether nothing is waiting to be sent, other than an answer without end */
bool session_has_answered(const struct session *session);
