/* SPDX-License-Identifier: BSD-3-Clause */

/* A connection before it is open: the header of a proxy in front, and the backends one after the other */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "backend.h"
#include "connection_state.h"
#include "report.h"

#define RETRY_MS 20U /* after a backend had no room, or there was no descriptor */

bool connecting_find_pair(const struct connection *connection, struct proxy_pair *ret)
{
	struct sockaddr_storage client, server;
	socklen_t client_size = sizeof(client), server_size = sizeof(server);
	int fd = connection->ends[CLIENT].fd;

	if (connection->pair) {
		*ret = *connection->pair;
		return true;
	}
	return getpeername(fd, (struct sockaddr *)&client, &client_size) == 0 &&
	       getsockname(fd, (struct sockaddr *)&server, &server_size) == 0 &&
	       endpoint_get(&client, &ret->client) && endpoint_get(&server, &ret->server);
}

/* ---- the backend */

/* @client: to bind to; NULL: to nothing */
static int begin_backend(struct connection *connection, const struct endpoint *client)
{
	struct end *end = &connection->ends[BACKEND];
	int r = backend_connect(connection->settings, connection->backend, client, &end->fd), added;

	if (r < 0 || r == BACKEND_LATER)
		return r;
	added = loop_add(
		connection->home->loop, end->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &end->source);
	if (!added)
		return r;
	connection_close_end(end);
	return added == -ENOMEM || added == -ENOSPC ? BACKEND_LATER : added;
}

static void begin_attempt(struct connection *connection)
{
	unsigned timeout = connection->settings->rule.relay.connect_timeout.ms;

	connection->give_up_ms = timeout ? connection->home->loop->now_ms + timeout : 0;
}

static void fail_attempt(struct connection *connection, int error)
{
	report_failed(connection->home, connection->settings, connection->backend, error);
	connection_close_end(&connection->ends[BACKEND]);
	connection->ways[BACKEND].more = false;
	connection->backend++;
	begin_attempt(connection);
}

void connecting_try(struct connection *connection)
{
	struct loop *loop = connection->home->loop;
	bool transparent = connection->settings->rule.relay.transparent;
	uint64_t retry = loop->now_ms + RETRY_MS;
	struct proxy_pair pair;
	int r = -ENOENT;

	if (transparent && !connecting_find_pair(connection, &pair)) {
		connection_finish(connection, true); /* the client has gone */
		return;
	}
	while (connection->backend < connection->settings->rule.relay.n_backends) {
		r = begin_backend(connection, transparent ? &pair.client : NULL);
		if (r >= 0)
			break;
		fail_attempt(connection, -r);
	}
	if (r < 0) {
		connection->home->tally->unreachable++;
		connection_finish(connection, true);
	} else if (!r) {
		connection_open(connection);
	} else {
		connection->state = r == BACKEND_LATER ? STATE_RETRYING : STATE_CONNECTING;
		if (r == BACKEND_LATER && (!connection->give_up_ms || connection->give_up_ms > retry))
			loop_set(loop, &connection->timer, retry);
		else if (connection->give_up_ms)
			loop_set(loop, &connection->timer, connection->give_up_ms);
	}
}

/*
 * Events of the socket that failed may have been fetched already. They would be taken for those of the next one, so that
 * is made after them.
 */
static void try_next(struct connection *connection, int error)
{
	fail_attempt(connection, error);
	connection->state = STATE_FAILED;
	loop_unset(connection->home->loop, &connection->timer);
	loop_later(connection->home->loop, &connection->task);
}

/*
 * Whether a socket has been connected to itself: that happens when nothing listens at a port from which the kernel takes
 * those of clients.
 */
static bool is_own_peer(int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage own;
	struct endpoint a, b;
	socklen_t size = sizeof(own);

	return getsockname(fd, (struct sockaddr *)&own, &size) == 0 && endpoint_get(&own, &a) &&
	       endpoint_get(peer, &b) && a.family == b.family && a.port == b.port &&
	       !memcmp(a.address, b.address, sizeof(a.address));
}

/* Forwards nothing before it is connected: shutdown(2) would end a socket that is not. */
static void check_backend(struct connection *connection)
{
	int fd = connection->ends[BACKEND].fd, error = 0;
	struct sockaddr_storage peer;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error) {
		try_next(connection, error);
		return;
	}
	size = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return;
	if (is_own_peer(fd, &peer))
		try_next(connection, ECONNREFUSED);
	else
		connection_open(connection);
}

/* ---- the header of a proxy in front */

static void refuse_header(struct connection *connection)
{
	connection->home->tally->bad_header++;
	connection_finish(connection, true);
}

static void read_header(struct connection *connection)
{
	int fd = connection->ends[CLIENT].fd;
	char *buffer = connection->home->tools.buffer;
	struct proxy_pair pair;
	bool known = false;
	ssize_t n = recv(fd, buffer, PROXY_HEADER_READ_MAX, MSG_PEEK | MSG_DONTWAIT);
	size_t size = n > 0 ? proxy_header_read(buffer, (size_t)n, &pair, &known) : PROXY_HEADER_SHORT;

	if (n < 0 && errno == EAGAIN)
		return;
	if (size == PROXY_HEADER_SHORT && n > 0 && !connection->ways[CLIENT].more)
		return;
	if (size <= PROXY_HEADER_BAD) {
		refuse_header(connection);
		return;
	}
	if (recv(fd, buffer, size, MSG_DONTWAIT) != (ssize_t)size) {
		connection_finish(connection, true);
		return;
	}
	if (known) {
		connection->pair = malloc(sizeof(*connection->pair));
		if (!connection->pair) {
			connection->home->tally->out_of_memory++;
			connection_finish(connection, true);
			return;
		}
		*connection->pair = pair;
	}
	begin_attempt(connection);
	connecting_try(connection);
}

/* ---- events */

void connecting_begin(struct connection *connection, bool header)
{
	begin_attempt(connection);
	if (!header) {
		connecting_try(connection);
		return;
	}
	connection->state = STATE_HEADER;
	if (connection->give_up_ms)
		loop_set(connection->home->loop, &connection->timer, connection->give_up_ms);
}

void connecting_advance(struct connection *connection)
{
	if (connection->state == STATE_HEADER)
		read_header(connection);
	else if (connection->ends[CLIENT].broken)
		connection_finish(connection, true);
	else if (connection->state == STATE_CONNECTING)
		check_backend(connection);
}

void connecting_elapse(struct connection *connection)
{
	bool in_time = !connection->give_up_ms || connection->give_up_ms > connection->home->loop->now_ms;

	if (connection->state == STATE_HEADER)
		refuse_header(connection);
	else if (connection->state == STATE_CONNECTING)
		try_next(connection, ETIMEDOUT);
	else if (in_time)
		connecting_try(connection);
	else
		try_next(connection, EAGAIN);
}
