/* SPDX-License-Identifier: BSD-3-Clause */
#include "sessions.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/macro.h"
#include "datagram.h"
#include "proxy_header.h"

#define BUCKETS 4096U
#define TURN_MAX 64U /* datagrams of one socket before others have their turn */

struct session {
	struct loop_source source;
	struct sessions_door *door;
	struct settings *settings;
	struct datagram_path path;
	struct session *next_of_bucket;
	struct session *newer, *older;
	uint64_t active_ms;
	int fd;
	uint8_t backend;
	struct loop_task task; /* frees it */
};

/* The header, and the largest datagram; one at a time */
static char buffer[PROXY_HEADER_WRITTEN_MAX + 65536];

/* ---- the table */

static struct session **find_bucket(struct sessions *sessions, const struct datagram_path *path)
{
	uint64_t hash = 14695981039346656037U;

	for (size_t i = 0; i < sizeof(path->client.address); i++) {
		hash = (hash ^ path->client.address[i]) * 1099511628211U;
		hash = (hash ^ path->server.address[i]) * 1099511628211U;
	}
	hash = (hash ^ path->client.port ^ ((uint64_t)path->server.port << 16)) * 1099511628211U;
	return &sessions->buckets[(hash ^ (hash >> 32)) % BUCKETS];
}

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
	       !memcmp(a->address, b->address, sizeof(a->address));
}

static struct session *find(const struct sessions_door *door, const struct datagram_path *path)
{
	struct session *session = *find_bucket(door->sessions, path);

	while (session && !(session->door == door && is_same(&session->path.client, &path->client) &&
				  is_same(&session->path.server, &path->server)))
		session = session->next_of_bucket;
	return session;
}

static void unlink_order(struct session *session)
{
	struct sessions *sessions = session->door->sessions;

	*(session->newer ? &session->newer->older : &sessions->newest) = session->older;
	*(session->older ? &session->older->newer : &sessions->oldest) = session->newer;
}

static void link_newest(struct session *session)
{
	struct sessions *sessions = session->door->sessions;

	session->newer = NULL;
	session->older = sessions->newest;
	*(sessions->newest ? &sessions->newest->newer : &sessions->oldest) = session;
	sessions->newest = session;
}

static void touch(struct session *session)
{
	session->active_ms = session->door->sessions->loop->now_ms;
	unlink_order(session);
	link_newest(session);
}

/* ---- the life of a session */

static void release(struct loop_task *task)
{
	free((struct session *)((char *)task - offsetof(struct session, task)));
}

static void end(struct session *session)
{
	struct sessions *sessions = session->door->sessions;
	struct session **link = find_bucket(sessions, &session->path);

	while (*link != session)
		link = &(*link)->next_of_bucket;
	*link = session->next_of_bucket;
	unlink_order(session);
	closep(&session->fd);
	session->fd = -1;
	settings_unref(session->settings);
	sessions->tally->sessions--;
	session->task.run = release; /* events of it may have been fetched */
	loop_later(sessions->loop, &session->task);
}

static unsigned find_timeout(const struct session *session)
{
	return session->settings->rule.relay.session_timeout.ms;
}

static void arm(struct sessions *sessions)
{
	const struct session *oldest = sessions->oldest;

	if (oldest && !sessions->timer.place)
		loop_set(sessions->loop, &sessions->timer, oldest->active_ms + find_timeout(oldest));
}

static void elapse(struct loop_timer *timer)
{
	struct sessions *sessions = (struct sessions *)((char *)timer - offsetof(struct sessions, timer));

	while (sessions->oldest &&
		sessions->oldest->active_ms + find_timeout(sessions->oldest) <= sessions->loop->now_ms)
		end(sessions->oldest);
	arm(sessions);
}

/* Return: a socket that is connected to a backend, or a negative errno. */
static int connect_backend(const struct settings *settings, unsigned backend)
{
	const struct settings_backend *to = &settings->backends[backend];
	_cleanup_close_ int fd = -1;

	if (to->address.ss_family == AF_UNIX)
		return -EAFNOSUPPORT;
	fd = socket(to->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to->address, to->size) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void note_backend(struct session *session, int error)
{
	struct sessions *sessions = session->door->sessions;
	struct tally_backend *backend = &sessions->tally->backends[session->backend];

	if (session->settings != sessions->settings)
		return;
	*(error ? &backend->failed : &backend->connected) += 1;
	backend->last_error = (uint32_t)error;
	backend->last_usec = clock_realtime_usec();
}

static void ready(struct loop_source *source, uint32_t events);

/* Connects to the first backend from this one on that has a route. Return: 0 or a negative errno. */
static int open_backend(struct session *session, unsigned first)
{
	struct sessions *sessions = session->door->sessions;
	unsigned n = (unsigned)session->settings->rule.relay.n_backends;
	int r = -EHOSTUNREACH;

	for (unsigned i = 0; i < n && session->fd < 0; i++) {
		session->backend = (uint8_t)((first + i) % n);
		session->fd = r = connect_backend(session->settings, session->backend);
		note_backend(session, r < 0 ? -r : 0);
	}
	if (r < 0)
		return r;
	r = loop_add(sessions->loop, session->fd, EPOLLIN, &session->source);
	if (r < 0) {
		closep(&session->fd);
		session->fd = -1;
	}
	return r;
}

static struct session *begin(struct sessions_door *door, const struct datagram_path *path)
{
	struct sessions *sessions = door->sessions;
	struct session *session, **bucket = find_bucket(sessions, path);

	if (sessions->tally->sessions >= sessions->limit) {
		sessions->tally->full++;
		end(sessions->oldest);
	}
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	*session = (struct session){
		.source.ready = ready,
		.door = door,
		.settings = settings_ref(sessions->settings),
		.path = *path,
		.next_of_bucket = *bucket,
		.active_ms = sessions->loop->now_ms,
		.fd = -1,
	};
	*bucket = session;
	link_newest(session);
	sessions->tally->sessions++;
	sessions->tally->sessions_begun++;
	if (open_backend(session, 0) < 0) {
		sessions->tally->unreachable++;
		end(session);
		return NULL;
	}
	arm(sessions);
	return session;
}

/* An ICMP error says that nobody is there: the next datagrams go to the next backend. */
static void change_backend(struct session *session, int error)
{
	note_backend(session, error);
	closep(&session->fd);
	session->fd = -1;
	if (open_backend(session, session->backend + 1U) < 0)
		end(session);
}

/* ---- datagrams */

static void send_on(struct session *session, size_t size)
{
	struct tally *tally = session->door->sessions->tally;
	const struct proxy_pair pair = {session->path.client, session->path.server};
	char header[PROXY_HEADER_WRITTEN_MAX], *start = buffer + PROXY_HEADER_WRITTEN_MAX;
	size_t header_size = session->settings->rule.relay.send_proxy == RULE_SEND_PROXY_NO
				     ? 0
				     : proxy_header_write_datagram(&pair, header);

	touch(session);
	memcpy(start - header_size, header, header_size);
	/* the first one may get the error of an earlier one */
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		ssize_t n = send(session->fd, start - header_size, size + header_size, MSG_DONTWAIT);

		if (n >= 0) {
			tally->sent += size;
			tally->datagrams_sent++;
			return;
		}
		if (errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != ENETUNREACH)
			break;
		change_backend(session, errno);
		if (session->fd < 0)
			break;
	}
	tally->datagrams_dropped++;
}

/* Answers leave from the port of the door: that of a rule with another port cannot be used. */
static void check_port(struct sessions_door *door, const struct datagram_path *path)
{
	struct sessions *sessions = door->sessions;

	if (sessions->port_reported || !path->server.port || path->server.port == door->port)
		return;
	sessions->port_reported = true;
	observe(OBSERVE_FAULT,
		&(struct observed){.name = sessions->name, .rule = sessions->settings->rule.path},
		"clients send datagrams to port %u and get answers from port %u, which many refuse; write ListenDatagram= with port %u in the socket unit",
		path->server.port, door->port, path->server.port);
}

static void receive_from_client(struct loop_source *source, uint32_t events)
{
	struct sessions_door *door = (struct sessions_door *)source;
	struct sessions *sessions = door->sessions;

	(void)events;
	for (unsigned i = 0; i < TURN_MAX; i++) {
		struct datagram_path path;
		ssize_t n = datagram_receive(door->fd, buffer + PROXY_HEADER_WRITTEN_MAX, 65536, &path);
		struct session *session;

		if (n < 0)
			return;
		if (!path.server.port)
			path.server.port = door->port;
		session = sessions->settings ? find(door, &path) : NULL;
		if (!session && sessions->settings) {
			check_port(door, &path);
			session = begin(door, &path);
		}
		if (session)
			send_on(session, (size_t)n);
		else
			sessions->tally->datagrams_dropped++;
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct session *session = (struct session *)source;
	struct tally *tally = session->door->sessions->tally;

	(void)events;
	for (unsigned i = 0; i < TURN_MAX && session->fd >= 0; i++) {
		ssize_t n = recv(session->fd, buffer, 65536, MSG_DONTWAIT);

		if (n < 0 && errno == ECONNREFUSED) {
			change_backend(session, errno);
			return;
		}
		if (n < 0)
			return;
		touch(session);
		if (datagram_send(session->door->fd, buffer, (size_t)n, &session->path) < 0) {
			tally->datagrams_dropped++;
		} else {
			tally->received += (uint64_t)n;
			tally->datagrams_received++;
		}
	}
}

/* ---- all of them */

int sessions_start(struct sessions *sessions)
{
	int r = 0;

	sessions->timer.elapse = elapse;
	sessions->buckets = calloc(BUCKETS, sizeof(struct session *));
	if (!sessions->buckets)
		return -ENOMEM;
	for (size_t i = 0; i < sessions->n_doors && !r; i++) {
		struct sessions_door *door = &sessions->doors[i];

		door->source.ready = receive_from_client;
		door->sessions = sessions;
		r = datagram_prepare(door->fd, &door->family, &door->port);
		if (!r)
			r = loop_add(sessions->loop, door->fd, EPOLLIN, &door->source);
	}
	return r;
}

void sessions_stop(struct sessions *sessions)
{
	while (sessions->oldest)
		end(sessions->oldest);
	for (size_t i = 0; i < sessions->n_doors; i++) {
		closep(&sessions->doors[i].fd);
		sessions->doors[i].fd = -1;
	}
	sessions->n_doors = 0;
}
