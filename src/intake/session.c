/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "incoming.h"
#include "peer.h"

struct session {
	int socket;
	sd_event_source *io;
	sd_event_source *idle;
	struct session_handlers handlers;
	struct turn turn;
	uint32_t revents; /* what the turn is for */
	size_t number;	  /* of the door */
	struct peer peer;

	const struct staff *staff; /* borrowed */
	bool asked;
	bool contested;	 /* a worker that failed may still receive from the socket */
	bool ending;	 /* close when the answer has been sent */
	uint64_t active; /* CLOCK_MONOTONIC, ns: when anything was sent or received last */

	/* the request under way, while it takes more than one turn */
	struct incoming *incoming;
	uint64_t received;
	bool deferred;
	void (*cancel)(void *userdata); /* of a deferred answer */
	void *cancel_userdata;
	void (*tell)(uint64_t nsec, void *userdata);
	void *tell_userdata;

	struct answer answer;
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static void on_turn(void *userdata);
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata);
static bool flush(struct session *session);

int session_new_consume_fd(sd_event *event, const struct staff *staff, int fd,
	const struct session_handlers *handlers, struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	int r;

	if (!session) {
		sweeper_hang_up_consume(staff->sweeper, fd, false);
		return -ENOMEM;
	}
	session->socket = fd;
	session->staff = staff;
	session->handlers = *handlers;
	session->active = clock_monotonic_nsec();
	session->turn = (struct turn){.serve = on_turn, .userdata = session};
	r = peer_read(&session->peer, fd);
	if (!r)
		r = sd_event_add_io(event, &session->io, fd, EPOLLIN, on_io, session);
	/* all that are ready take a turn before one is served */
	if (r >= 0 && handlers->turns)
		r = sd_event_source_set_priority(session->io, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &session->idle, CLOCK_MONOTONIC,
			SESSION_IDLE_SECONDS * 1000000ULL, 1000000, on_idle, session);
	if (r < 0) {
		session_free(session);
		return r;
	}
	*ret = session;
	return 0;
}

/* Return: whether somebody may be receiving from the socket. */
static bool drop_incoming(struct session *session)
{
	if (session->deferred)
		session->cancel(session->cancel_userdata);
	return incoming_drop(TAKE_PTR(session->incoming)) || session->contested;
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	if (answer_is_endless(&session->answer))
		(void)flush(session); /* the last rows, as far as they can be sent without waiting */
	answer_release(&session->answer);
	turns_give_up(&session->turn);
	sd_event_source_disable_unref(session->io);
	sd_event_source_disable_unref(session->idle);
	sweeper_hang_up_consume(session->staff->sweeper, session->socket, drop_incoming(session));
	peer_deinit(&session->peer);
	free(session);
	return NULL;
}

uid_t session_uid(const struct session *session)
{
	return session->peer.credentials.uid;
}

void session_set_number(struct session *session, size_t number)
{
	session->number = number;
}

size_t session_number(const struct session *session)
{
	return session->number;
}

bool session_is_fresh(const struct session *session)
{
	return !session->asked;
}

bool session_has_answered(const struct session *session)
{
	if (session->incoming && (incoming_is_busy(session->incoming) || session->deferred))
		return false;
	return !session->turn.tenant && (!session->answer.under_way || answer_is_endless(&session->answer));
}

static void end_session(struct session *session)
{
	session->handlers.end(session, session->handlers.userdata);
	session_free(session);
}

static void note_activity(void *userdata)
{
	struct session *session = userdata;

	session->active = clock_monotonic_nsec();
	(void)sd_event_source_set_time_relative(session->idle, SESSION_IDLE_SECONDS * 1000000ULL);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;

	(void)usec;
	if (!session->incoming) {
		end_session(session);
		return 0;
	}
	/* it is not the client that nothing comes from */
	note_activity(session);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- answers */

static void want(struct session *session, uint32_t events)
{
	if (answer_is_endless(&session->answer))
		events |= EPOLLIN;
	(void)sd_event_source_set_io_events(session->io, events);
}

/* Sends what fits into the socket. Returns false when the session is to end. */
static bool flush(struct session *session)
{
	int r;

	if (!session->answer.under_way)
		return !session->ending;
	r = answer_send(&session->answer, session->socket, note_activity, session);
	if (r < 0)
		return false;
	want(session, r == ANSWER_NEEDS_ROOM ? EPOLLOUT : EPOLLIN);
	if (r != 0)
		return true;
	if (session->tell)
		session->tell(clock_monotonic_nsec() - session->received, session->tell_userdata);
	session->tell = NULL;
	return !session->ending;
}

/* Until then nothing more is heard from the client. The session may have ended when this returns. */
static void wait_for_turn(struct session *session, uint32_t revents)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_OFF);
	session->active = clock_monotonic_nsec();
	session->revents = revents;
	turns_take(session->handlers.turns, &session->turn, session->handlers.tenant,
		session->answer.under_way && session->answer.source.is_long);
}

/* Return: false when the session is to end. */
static bool begin_answer(struct session *session)
{
	if (!session->handlers.turns || !session->answer.under_way || !session->answer.source.is_long)
		return flush(session);
	wait_for_turn(session, 0);
	return true;
}

void session_answer(struct session *session, const struct writer *packet)
{
	answer_begin(&session->answer, packet);
}

void session_refuse(struct session *session, const struct refusal *refusal)
{
	answer_begin_refusal(&session->answer, refusal);
}

void session_answer_rows(struct session *session, const struct answer_source *source)
{
	answer_begin_rows(&session->answer, source);
	if (answer_is_endless(&session->answer))
		(void)sd_event_source_set_enabled(session->idle, SD_EVENT_OFF);
}

void session_wake(struct session *session)
{
	want(session, EPOLLOUT);
}

void session_time(struct session *session, void (*tell)(uint64_t nsec, void *userdata), void *userdata)
{
	session->tell = tell;
	session->tell_userdata = userdata;
}

/* ---- requests */

static void refuse_and_end(struct session *session, const struct refusal *refusal)
{
	if (answer_is_endless(&session->answer)) {
		answer_release(&session->answer);
		(void)sd_event_source_set_enabled(session->idle, SD_EVENT_ONESHOT);
	}
	session_refuse(session, refusal);
	session->ending = true;
}

static int take_packet(struct session *session, struct incoming *incoming, struct refusal *refusal)
{
	int r = incoming_parse(incoming, refusal);

	if (r)
		return r;
	peer_lend_groups(&session->peer, &incoming->packet.credentials, &incoming->request.identity);
	session->asked = true;
	session->received = incoming->request.received;
	return 0;
}

static void complete(struct session *session);

/* A packet that was not received, or may not have been, ends the session. */
static void on_fetched(const struct refusal *refusal, void *userdata)
{
	struct session *session = userdata;

	session->contested |= session->incoming->lost;
	if (refusal)
		refuse_and_end(session, refusal);
	else
		session->handlers.request(session, &session->incoming->request, session->handlers.userdata);
	complete(session);
}

static void fetch(struct session *session)
{
	struct incoming *incoming = session->incoming;
	struct refusal refusal;
	int r;

	r = session->handlers.admit(session, &incoming->request, &refusal, session->handlers.userdata);
	if (!r)
		r = incoming_fetch(incoming, session->staff, session->socket, on_fetched, session, &refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "the broker could not do it (%s)", errno_name(-r));
	if (r)
		session_refuse(session, &refusal);
}

static void on_cleared(bool cleared, void *userdata)
{
	struct session *session = userdata;

	session->contested |= session->incoming->lost;
	session->ending |= !cleared;
	complete(session);
}

/* Nothing is heard of the client, not even that it has gone, until there is an answer. */
static void pause_listening(struct session *session)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_OFF);
}

/*
 * Goes on with a request that was looked at. Before the answer its descriptors leave the queue, and the worker: a client
 * that gets it may rely on the broker having no copy of its socket left.
 *
 * Return: false when the session is to end.
 */
static bool proceed(struct session *session)
{
	int r = 0;

	if (!session->incoming->fetching && !session->deferred) {
		r = incoming_clear(session->incoming, session->staff, session->socket, on_cleared, session);
		if (r == 0) {
			session->incoming = incoming_free(session->incoming);
			return begin_answer(session);
		}
	}
	pause_listening(session);
	return r >= 0;
}

static void complete(struct session *session)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_ON);
	if (!proceed(session))
		end_session(session);
}

void session_defer(struct session *session, void (*cancel)(void *userdata), void *userdata)
{
	session->deferred = true;
	session->cancel = cancel;
	session->cancel_userdata = userdata;
}

void session_resume(struct session *session)
{
	session->deferred = false;
	complete(session);
}

static bool receive_packet(struct session *session)
{
	struct incoming *incoming;
	struct refusal refusal;
	int r = incoming_receive(session->socket, &incoming, &refusal);

	if (r < 0 || r == PACKET_AGAIN || r == PACKET_END)
		return r == PACKET_AGAIN;
	session->incoming = incoming;
	note_activity(session);
	if (r == 0 && !incoming->packet.has_credentials)
		r = refuse(&refusal, EPERM,
			"the packet carries no credentials (EPERM); send it from a live process");
	if (r == 0 && session->answer.under_way)
		r = refuse(&refusal, EBUSY,
			"this connection is subscribed to events and takes no request (EBUSY); open another one");
	if (r == 0)
		r = take_packet(session, incoming, &refusal);
	if (r)
		refuse_and_end(session, &refusal);
	else if (incoming->queued)
		fetch(session);
	else
		session->handlers.request(session, &incoming->request, session->handlers.userdata);
	return proceed(session);
}

uint64_t session_active(const struct session *session)
{
	return session->active;
}

void session_evict(struct session *session, const struct refusal *refusal)
{
	if (!session->answer.under_way) {
		session_refuse(session, refusal);
		(void)flush(session);
	}
	end_session(session);
}

static void serve(struct session *session, uint32_t revents)
{
	bool alive;

	if (!session->answer.under_way || (answer_is_endless(&session->answer) && revents & EPOLLIN))
		alive = receive_packet(session);
	else
		alive = !(revents & (EPOLLERR | EPOLLHUP)) && flush(session);
	if (!alive)
		end_session(session);
}

void session_begin(struct session *session)
{
	if (!session->handlers.turns || turns_are_free(session->handlers.turns))
		serve(session, EPOLLIN);
	else
		wait_for_turn(session, EPOLLIN);
}

/* Whether the client has said nothing that was not read. One that has hung up then makes room for others at once. */
static bool is_empty(int socket)
{
	int n_bytes;

	return ioctl(socket, SIOCINQ, &n_bytes) == 0 && n_bytes == 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct session *session = userdata;

	(void)source;
	if (revents & EPOLLHUP && is_empty(fd))
		end_session(session);
	else if (session->handlers.turns)
		wait_for_turn(session, revents);
	else
		serve(session, revents);
	return 0;
}

static void on_turn(void *userdata)
{
	struct session *session = userdata;

	(void)sd_event_source_set_enabled(session->io, SD_EVENT_ON);
	serve(session, session->revents);
}
