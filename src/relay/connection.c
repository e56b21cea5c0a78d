/* SPDX-License-Identifier: BSD-3-Clause */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "backend.h"
#include "connection_state.h"
#include "report.h"

static void advance(struct connection *connection);

/* ---- the end */

static void release(struct loop_task *task)
{
	free((struct connection *)((char *)task - offsetof(struct connection, task)));
}

void connection_close_end(struct end *end)
{
	if (end->fd >= 0)
		(void)close(end->fd);
	end->fd = -1;
}

/* Events of its sockets may have been fetched already, so the memory goes after them. */
void connection_finish(struct connection *connection, bool reset)
{
	struct connection_home *home = connection->home;

	if (connection->state == STATE_OVER)
		return;
	for (int i = 0; i < 2; i++) {
		if (!reset && connection->ends[i].fd >= 0)
			backend_allow_end(connection->ends[i].fd);
		connection_close_end(&connection->ends[i]);
		way_deinit(&connection->ways[i], &home->tools);
	}
	connection->state = STATE_OVER;
	loop_unset(home->loop, &connection->timer);
	settings_unref(connection->settings);
	free(connection->pair);
	connection->task.run = release;
	loop_later(home->loop, &connection->task);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	home->tally->open--;
	home->left(home);
}

/* ---- the connection */

static void count(struct connection *connection, int i, uint64_t before)
{
	struct tally *tally = connection->home->tally;
	uint64_t bytes = connection->ways[i].bytes - before;

	if (bytes)
		connection->active_ms = connection->home->loop->now_ms;
	*(i == CLIENT ? &tally->sent : &tally->received) += bytes;
}

/* Return: the soonest timeout in ms, 0 for none. */
static unsigned find_timeout(const struct connection *connection)
{
	const struct rule_relay *relay = &connection->settings->rule.relay;
	bool half_closed = connection->ways[CLIENT].ended || connection->ways[BACKEND].ended;
	unsigned idle = relay->idle_timeout.ms, half = half_closed ? relay->half_close_timeout.ms : 0;

	return !idle || (half && half < idle) ? half : idle;
}

/* Activity moves no timer: one that elapses looks at when that was. */
static void arm(struct connection *connection)
{
	unsigned timeout = find_timeout(connection);
	uint64_t due = connection->active_ms + timeout;

	if (timeout && (!connection->timer.place || connection->timer.due_ms > due))
		loop_set(connection->home->loop, &connection->timer, due);
}

static void advance_open(struct connection *connection)
{
	struct connection_home *home = connection->home;
	bool again = false;

	for (int i = 0; i < 2; i++) {
		uint64_t before = connection->ways[i].bytes;
		int r = way_pump(&connection->ways[i], &home->tools);

		count(connection, i, before);
		if (r < 0) {
			home->tally->out_of_memory++;
			connection_finish(connection, true);
			return;
		}
		if (r == WAY_READ_FAILED || r == WAY_WRITE_FAILED) {
			losing_begin(connection, r == WAY_READ_FAILED ? i : !i, r == WAY_READ_FAILED);
			return;
		}
		again = again || r == WAY_GOES_ON;
	}
	if (connection->ways[CLIENT].closed && connection->ways[BACKEND].closed)
		connection_finish(connection, false);
	else if (connection->ends[CLIENT].broken || connection->ends[BACKEND].broken)
		losing_begin(connection, connection->ends[CLIENT].broken ? CLIENT : BACKEND, false);
	else if (again)
		loop_later(home->loop, &connection->task);
	if (connection->state == STATE_OPEN)
		arm(connection);
}

static int put_header(struct connection *connection)
{
	enum rule_send_proxy version = connection->settings->rule.relay.send_proxy;
	struct proxy_pair pair;
	char *text;

	if (version == RULE_SEND_PROXY_NO)
		return 0;
	text = malloc(PROXY_HEADER_WRITTEN_MAX);
	if (!text)
		return -ENOMEM;
	way_put_consume(&connection->ways[CLIENT], text,
		proxy_header_write(version, connecting_find_pair(connection, &pair) ? &pair : NULL, text));
	return 0;
}

void connection_open(struct connection *connection)
{
	struct end *ends = connection->ends;

	report_reached(connection->home, connection->settings, connection->backend);
	loop_unset(connection->home->loop, &connection->timer);
	connection->state = STATE_OPEN;
	connection->active_ms = connection->home->loop->now_ms;
	connection->ways[CLIENT].from = connection->ways[BACKEND].to = ends[CLIENT].fd;
	connection->ways[CLIENT].to = connection->ways[BACKEND].from = ends[BACKEND].fd;
	if (put_header(connection) < 0)
		connection_finish(connection, true);
	else
		advance(connection);
}

/* ---- events */

static void advance(struct connection *connection)
{
	switch ((enum state)connection->state) {
	case STATE_HEADER:
	case STATE_CONNECTING:
	case STATE_FAILED:
	case STATE_RETRYING:
		connecting_advance(connection);
		break;
	case STATE_OPEN:
		advance_open(connection);
		break;
	case STATE_LOST:
	case STATE_SETTLING:
		losing_advance(connection);
		break;
	case STATE_OVER:
		break;
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct end *end = (struct end *)source;
	struct connection *connection = end->connection;

	if (end->fd < 0) /* this was fetched before it was closed */
		return;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		connection->ways[end == &connection->ends[CLIENT] ? CLIENT : BACKEND].more = true;
	if ((events & EPOLLERR) && (end == &connection->ends[CLIENT] || connection->state >= STATE_OPEN))
		end->broken = true;
	advance(connection);
}

static void run_task(struct loop_task *task)
{
	struct connection *connection =
		(struct connection *)((char *)task - offsetof(struct connection, task));

	if (connection->state == STATE_FAILED)
		connecting_try(connection);
	else
		advance(connection);
}

static void elapse_open(struct connection *connection)
{
	struct tally *tally = connection->home->tally;
	unsigned timeout = find_timeout(connection);

	if (!timeout)
		return;
	if (connection->active_ms + timeout > connection->home->loop->now_ms) {
		arm(connection);
		return;
	}
	*(timeout == connection->settings->rule.relay.idle_timeout.ms ? &tally->idle : &tally->half_closed) +=
		1;
	connection_finish(connection, true);
}

static void elapse(struct loop_timer *timer)
{
	struct connection *connection =
		(struct connection *)((char *)timer - offsetof(struct connection, timer));

	if (connection->state < STATE_OPEN)
		connecting_elapse(connection);
	else if (connection->state == STATE_OPEN)
		elapse_open(connection);
	else
		losing_elapse(connection);
}

/* ---- the beginning */

void connection_end_all(struct connection_home *home)
{
	while (home->first)
		connection_finish(home->first, true);
}

void connection_refuse_consume(int fd)
{
	const struct linger reset = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

int connection_begin_consume(
	struct connection_home *home, struct settings *settings, int fd, const struct sockaddr_storage *peer)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r = connection ? 0 : -ENOMEM;

	if (connection)
		r = loop_add(home->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			&connection->ends[CLIENT].source);
	if (r < 0) {
		connection_refuse_consume(fd);
		free(connection);
		return r;
	}
	home->tally->open++;
	connection->home = home;
	connection->next = home->first;
	connection->link = &home->first;
	if (connection->next)
		connection->next->link = &connection->next;
	home->first = connection;
	connection->settings = settings_ref(settings);
	connection->lost = NOBODY;
	connection->ends[CLIENT] = (struct end){{ready}, connection, fd, false};
	connection->ends[BACKEND] = (struct end){{ready}, connection, -1, false};
	way_init(&connection->ways[CLIENT], -1, -1);
	way_init(&connection->ways[BACKEND], -1, -1);
	connection->timer.elapse = elapse;
	connection->task.run = run_task;
	backend_prepare(settings, fd, peer->ss_family);
	connecting_begin(connection, settings_trust(settings, peer));
	return 0;
}
