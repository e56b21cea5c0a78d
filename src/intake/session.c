/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../util/clock.h"
#include "../util/macro.h"
#include "../wire/packet.h"
#include "closer.h"

struct session {
	int socket;
	sd_event_source *io;
	sd_event_source *idle;
	struct session_handlers handlers;
	struct ucred peer; /* at connect(2) */
	gid_t *groups;	   /* of the peer, at connect(2) */
	size_t n_groups;

	bool asked;

	/* of the request under way */
	uint64_t received;
	void (*tell)(uint64_t nsec, void *userdata);
	void *tell_userdata;

	/* the answer under way */
	bool answering;
	bool made;   /* there is something in `packet` */
	bool last;   /* `packet` is the last one of the answer */
	bool ending; /* close when the answer has been sent */
	struct session_source source;
	struct writer packet; /* waits for room */
	int fds[PACKET_FDS_MAX];
	size_t n_fds;
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata);
static bool flush(struct session *session);

static int read_peer(struct session *session)
{
	socklen_t size = sizeof(session->peer);

	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERCRED, &session->peer, &size) < 0)
		return -errno;
	size = 0;
	/* asks for the size first: -ERANGE and the size, or 0 when there are none (net/core/sock.c) */
	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return 0;
	session->groups = malloc(size);
	if (!session->groups)
		return -ENOMEM;
	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERGROUPS, session->groups, &size) < 0)
		return -errno;
	session->n_groups = size / sizeof(gid_t);
	return 0;
}

int session_new_consume_fd(
	sd_event *event, int fd, const struct session_handlers *handlers, struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	int r;

	if (!session) {
		closer_hang_up_consume(fd, 0);
		return -ENOMEM;
	}
	session->socket = fd;
	session->handlers = *handlers;
	r = read_peer(session);
	if (!r)
		r = sd_event_add_io(event, &session->io, fd, EPOLLIN, on_io, session);
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

/* Whether the answer under way is one without end. */
static bool is_endless(const struct session *session)
{
	return session->source.is_ready;
}

static void release_source(struct session *session)
{
	if (session->source.release)
		session->source.release(session->source.state);
	session->source = (struct session_source){0};
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	if (is_endless(session))
		(void)flush(session); /* the last rows, as far as they can be sent without waiting */
	release_source(session);
	sd_event_source_disable_unref(session->io);
	sd_event_source_disable_unref(session->idle);
	closer_hang_up_consume(session->socket, session->peer.uid);
	free(session->groups);
	free(session);
	return NULL;
}

uid_t session_uid(const struct session *session)
{
	return session->peer.uid;
}

bool session_is_fresh(const struct session *session)
{
	return !session->asked;
}

bool session_has_answered(const struct session *session)
{
	return !session->answering || is_endless(session);
}

static void end_session(struct session *session)
{
	session->handlers.end(session, session->handlers.userdata);
	session_free(session);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	end_session(userdata);
	return 0;
}

static void note_activity(struct session *session)
{
	(void)sd_event_source_set_time_relative(session->idle, SESSION_IDLE_SECONDS * 1000000ULL);
}

/* ---- answers */

static void want(struct session *session, uint32_t events)
{
	(void)sd_event_source_set_io_events(session->io, is_endless(session) ? events | EPOLLIN : events);
}

static void next_packet(struct session *session)
{
	session->packet.size = 0;
	session->packet.overflow = 0;
	session->n_fds = 0;
	session->last =
		!session->source.next(session->source.state, &session->packet, session->fds, &session->n_fds);
	session->made = true;
}

/* Return: whether there is a packet to send. */
static bool make_packet(struct session *session)
{
	if (!session->made && (!is_endless(session) || session->source.is_ready(session->source.state)))
		next_packet(session);
	return session->made;
}

/* Sends what fits into the socket. Returns false when the session is to end. */
static bool flush(struct session *session)
{
	for (int n = 0; session->answering; n++) {
		int r;

		if (!make_packet(session)) {
			want(session, EPOLLIN);
			return true;
		}
		/* other sessions get their turn */
		if (n == SESSION_BATCH) {
			want(session, EPOLLOUT);
			return true;
		}
		r = packet_send(session->socket, session->packet.text, session->packet.size, session->fds,
			session->n_fds);

		if (r == -EAGAIN) {
			want(session, EPOLLOUT);
			return true;
		}
		if (r < 0)
			return false;
		note_activity(session);
		session->made = false;
		if (!session->last)
			continue;
		session->answering = false;
		if (session->tell)
			session->tell(clock_monotonic_nsec() - session->received, session->tell_userdata);
		session->tell = NULL;
		release_source(session);
		want(session, EPOLLIN);
	}
	return !session->ending;
}

void session_answer(struct session *session, const struct writer *packet)
{
	session->packet = *packet;
	session->n_fds = 0;
	session->made = true;
	session->last = true;
	session->answering = true;
}

void session_refuse(struct session *session, const struct refusal *refusal)
{
	struct writer packet = WRITER_NULL;

	writer_put(&packet, KEY_ERRNO, "%d", refusal->error);
	writer_put(&packet, KEY_REASON, "%s", refusal->text);
	session_answer(session, &packet);
}

void session_answer_rows(struct session *session, const struct session_source *source)
{
	session->source = *source;
	session->answering = true;
	session->made = false;
	if (is_endless(session))
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
	if (is_endless(session)) {
		release_source(session);
		(void)sd_event_source_set_enabled(session->idle, SD_EVENT_ONESHOT);
	}
	session_refuse(session, refusal);
	session->ending = true;
}

static void handle_packet(struct session *session, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct message message;

	if (message_parse(&message, packet->text, packet->size, &refusal)) {
		refuse_and_end(session, &refusal);
		return;
	}
	intake_request_init(&request, packet);
	request.message = &message;
	/* the groups are those of the process that connected, not of one that got the socket from it */
	if (!memcmp(&packet->credentials, &session->peer, sizeof(session->peer))) {
		request.identity.groups = session->groups;
		request.identity.n_groups = session->n_groups;
	}
	session->asked = true;
	session->received = request.received;
	session->handlers.request(session, &request, session->handlers.userdata);
	intake_request_deinit(&request);
}

static bool receive_packet(struct session *session)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int r;

	if (closer_skip(session->socket))
		return false;
	r = packet_receive(session->socket, &packet, &refusal);
	if (r == PACKET_AGAIN)
		return true;
	if (r < 0 || r == PACKET_END)
		return false;
	note_activity(session);
	if (r == 0 && !packet.has_credentials)
		r = refuse(&refusal, EPERM,
			"the packet carries no credentials (EPERM); send it from a live process");
	if (r == 0 && session->answering)
		r = refuse(&refusal, EBUSY,
			"this connection is subscribed to events and takes no request (EBUSY); open another one");
	if (r == 0)
		handle_packet(session, &packet);
	else
		refuse_and_end(session, &refusal);
	/* before the answer: a client that gets OK may rely on the broker having no copy of its socket left */
	closer_close(&packet, packet.has_credentials ? packet.credentials.uid : session->peer.uid);
	return flush(session);
}

void session_begin(struct session *session)
{
	if (!receive_packet(session))
		end_session(session);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct session *session = userdata;
	bool alive;

	(void)source;
	(void)fd;
	if (!session->answering || (is_endless(session) && revents & EPOLLIN))
		alive = receive_packet(session);
	else
		alive = !(revents & (EPOLLERR | EPOLLHUP)) && flush(session);
	if (!alive)
		end_session(session);
	return 0;
}
