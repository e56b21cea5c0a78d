/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../wire/packet.h"

/* A packet, from when it is looked at until it is answered. */
struct incoming {
	struct packet packet;
	struct message message;
	struct intake_request request;
	bool queued;		   /* its descriptors, and so itself, are still in the queue of the socket */
	struct parcel *fetching;   /* they are being received */
	struct parcel *closing;	   /* they are being closed */
	struct sweeper_skip *skip; /* they are being thrown away */
	bool deferred;
};

struct session {
	int socket;
	sd_event_source *io;
	sd_event_source *idle;
	struct session_handlers handlers;
	struct turn turn;
	uint32_t revents;  /* what the turn is for */
	size_t number;	   /* of the door */
	struct ucred peer; /* at connect(2) */
	gid_t *groups;	   /* of the peer, at connect(2) */
	size_t n_groups;

	const struct staff *staff; /* borrowed */
	bool asked;
	bool contested;	 /* a worker that failed may still receive from the socket */
	uint64_t active; /* CLOCK_MONOTONIC, ns: when anything was sent or received last */

	/* the request under way, while it takes more than one turn */
	struct incoming *incoming;
	uint64_t received;
	void (*cancel)(void *userdata); /* of a deferred answer */
	void *cancel_userdata;
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
static void on_turn(void *userdata);
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
	r = read_peer(session);
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

static struct incoming *incoming_free(struct incoming *incoming)
{
	if (!incoming)
		return NULL;
	intake_request_deinit(&incoming->request);
	packet_deinit(&incoming->packet);
	free(incoming);
	return NULL;
}

/* Return: whether somebody may be receiving from the socket. */
static bool drop_incoming(struct session *session)
{
	struct incoming *incoming = TAKE_PTR(session->incoming);
	bool busy = session->contested || (incoming && (incoming->fetching || incoming->skip));

	if (!incoming)
		return busy;
	if (incoming->deferred)
		session->cancel(session->cancel_userdata);
	parcel_release(incoming->fetching, NULL, NULL);
	parcel_release(incoming->closing, NULL, NULL);
	sweeper_cancel(incoming->skip);
	(void)incoming_free(incoming);
	return busy;
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	if (is_endless(session))
		(void)flush(session); /* the last rows, as far as they can be sent without waiting */
	release_source(session);
	turns_give_up(&session->turn);
	sd_event_source_disable_unref(session->io);
	sd_event_source_disable_unref(session->idle);
	sweeper_hang_up_consume(session->staff->sweeper, session->socket, drop_incoming(session));
	free(session->groups);
	free(session);
	return NULL;
}

uid_t session_uid(const struct session *session)
{
	return session->peer.uid;
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
	const struct incoming *incoming = session->incoming;

	if (incoming && (incoming->fetching || incoming->closing || incoming->skip || incoming->deferred))
		return false;
	return !session->turn.tenant && (!session->answering || is_endless(session));
}

static void end_session(struct session *session)
{
	session->handlers.end(session, session->handlers.userdata);
	session_free(session);
}

static void note_activity(struct session *session)
{
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
	const uint64_t begin = clock_monotonic_nsec();

	for (int n = 0; session->answering; n++) {
		int r;

		if (!make_packet(session)) {
			want(session, EPOLLIN);
			return true;
		}
		/* other sessions get their turn */
		if (n == SESSION_BATCH || (n && clock_monotonic_nsec() - begin > SESSION_BATCH_NSEC)) {
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

/* Until then nothing more is heard from the client. The session may have ended when this returns. */
static void wait_for_turn(struct session *session, uint32_t revents)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_OFF);
	session->active = clock_monotonic_nsec();
	session->revents = revents;
	turns_take(session->handlers.turns, &session->turn, session->handlers.tenant,
		session->answering && session->source.is_long);
}

/* Return: false when the session is to end. */
static bool begin_answer(struct session *session)
{
	if (!session->handlers.turns || !session->answering || !session->source.is_long)
		return flush(session);
	wait_for_turn(session, 0);
	return true;
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

static bool take_packet(struct session *session, struct incoming *incoming, struct refusal *refusal)
{
	struct packet *packet = &incoming->packet;
	struct intake_request *request = &incoming->request;

	if (message_parse(&incoming->message, packet->text, packet->size, refusal))
		return false;
	intake_request_init(request, packet);
	request->message = &incoming->message;
	/* the groups are those of the process that connected, not of one that got the socket from it */
	if (!memcmp(&packet->credentials, &session->peer, sizeof(session->peer))) {
		request->identity.groups = session->groups;
		request->identity.n_groups = session->n_groups;
	}
	session->asked = true;
	session->received = request->received;
	return true;
}

static void complete(struct session *session);

/* What the descriptors are. A packet that was not received, or may not have been, ends the session. */
static void on_parcel(struct parcel *parcel, void *userdata)
{
	struct session *session = userdata;
	struct incoming *incoming = session->incoming;

	incoming->fetching = NULL;
	incoming->queued = false;
	session->contested |= parcel->lost;
	intake_request_open(&incoming->request, parcel);
	if (parcel->result < 0)
		(void)refuse(&parcel->refusal, -parcel->result, "the packet could not be received (%s)",
			errno_name(-parcel->result));
	if (parcel->result)
		refuse_and_end(session, &parcel->refusal);
	else
		session->handlers.request(session, &incoming->request, session->handlers.userdata);
	complete(session);
}

static void fetch(struct session *session)
{
	struct incoming *incoming = session->incoming;
	const char *owner = message_get(&incoming->message, KEY_OWNER);
	struct refusal refusal;
	int r;

	r = session->handlers.admit(session, &incoming->request, &refusal, session->handlers.userdata);
	if (!r)
		r = parcel_fetch(session->staff->crew,
			owner ? CREW_UID_FOUND : incoming->packet.credentials.uid, session->socket, owner,
			session->staff->netns_cookie, NULL, on_parcel, session, &incoming->fetching,
			&refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "the broker could not do it (%s)", errno_name(-r));
	if (r)
		session_refuse(session, &refusal);
}

static void on_skipped(bool skipped, void *userdata)
{
	struct session *session = userdata;

	session->incoming->skip = NULL;
	session->incoming->queued = false;
	if (!skipped)
		session->contested = session->ending = true;
	complete(session);
}

/* Nothing is heard of the client, not even that it has gone, until there is an answer. */
static void pause_listening(struct session *session)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_OFF);
}

static void on_closed(struct parcel *parcel, void *userdata)
{
	struct session *session = userdata;

	session->incoming->closing = NULL;
	parcel_release(parcel, NULL, NULL);
	complete(session);
}

/*
 * Goes on with a request that was looked at. Before the answer its descriptors leave the queue, and the worker: a client
 * that gets it may rely on the broker having no copy of its socket left.
 *
 * Return: false when the session is to end.
 */
static bool proceed(struct session *session)
{
	struct incoming *incoming = session->incoming;

	if (incoming->fetching || incoming->deferred) {
		pause_listening(session);
		return true;
	}
	if (incoming->queued) {
		incoming->skip = sweeper_skip(session->staff->sweeper, session->socket, on_skipped, session);
		pause_listening(session);
		return incoming->skip;
	}
	if (incoming->request.parcel && parcel_is_open(incoming->request.parcel)) {
		incoming->closing = TAKE_PTR(incoming->request.parcel);
		parcel_close(incoming->closing, on_closed, session);
		pause_listening(session);
		return true;
	}
	session->incoming = incoming_free(incoming);
	return begin_answer(session);
}

static void complete(struct session *session)
{
	(void)sd_event_source_set_enabled(session->io, SD_EVENT_ON);
	if (!proceed(session))
		end_session(session);
}

void session_defer(struct session *session, void (*cancel)(void *userdata), void *userdata)
{
	session->incoming->deferred = true;
	session->cancel = cancel;
	session->cancel_userdata = userdata;
}

void session_resume(struct session *session)
{
	session->incoming->deferred = false;
	complete(session);
}

static bool receive_packet(struct session *session)
{
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	struct refusal refusal;
	bool has_fds = false;
	int r;

	if (!incoming)
		return false;
	incoming->packet.pidfd = incoming->request.own_pidfd = -1;
	r = packet_peek(session->socket, &incoming->packet, &has_fds, &refusal);
	if ((r == 0 || r == PACKET_REFUSED) && !has_fds) {
		packet_deinit(&incoming->packet);
		r = packet_receive_with_pidfd(session->socket, &incoming->packet, &refusal);
	}
	if (r < 0 || r == PACKET_AGAIN || r == PACKET_END) {
		(void)incoming_free(incoming);
		return r == PACKET_AGAIN;
	}
	incoming->queued = has_fds;
	session->incoming = incoming;
	note_activity(session);
	if (r == 0 && !incoming->packet.has_credentials)
		r = refuse(&refusal, EPERM,
			"the packet carries no credentials (EPERM); send it from a live process");
	if (r == 0 && session->answering)
		r = refuse(&refusal, EBUSY,
			"this connection is subscribed to events and takes no request (EBUSY); open another one");
	if (r || !take_packet(session, incoming, &refusal))
		refuse_and_end(session, &refusal);
	else if (has_fds)
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
	if (!session->answering) {
		session_refuse(session, refusal);
		(void)flush(session);
	}
	end_session(session);
}

static void serve(struct session *session, uint32_t revents)
{
	bool alive;

	if (!session->answering || (is_endless(session) && revents & EPOLLIN))
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
