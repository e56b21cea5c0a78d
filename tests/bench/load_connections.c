/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Connections, a number of them at a time
 *
 * The client closes first, with a reset, so that no TIME-WAIT is left at either end. Otherwise its ports would run
 * out within seconds, and each way would be measured with the remains of the previous one.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"
#include "util/macro.h"

#define EVENTS 64
#define STALLED_NS 200000000 /* a connection this old at the end lost a packet, or is not served */

struct connection {
	int fd;
	bool sent;
	uint64_t begin;
};

struct crowd {
	const struct load *load;
	struct outcome *outcome;
	int epoll;
	size_t room; /* in the outcome's latencies */
	struct connection *connections;
};

#define CROWD_NULL ((struct crowd){.epoll = -1})

static void crowd_close(struct crowd *crowd)
{
	for (unsigned i = 0; crowd->connections && i < crowd->load->at_once; i++)
		closep(&crowd->connections[i].fd);
	free(crowd->connections);
	closep(&crowd->epoll);
}

static int begin(struct crowd *crowd, unsigned number)
{
	struct connection *connection = &crowd->connections[number];
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = number};
	struct linger reset = {.l_onoff = 1};

	connection->begin = load_clock();
	connection->sent = false;
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -errno;
	if (connect(connection->fd, (const struct sockaddr *)&crowd->load->target,
		    sizeof(crowd->load->target)) < 0 &&
		errno != EINPROGRESS)
		return -errno;
	return epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0 ? -errno : 0;
}

static int note(struct crowd *crowd, uint64_t latency)
{
	struct outcome *outcome = crowd->outcome;

	if (outcome->done == crowd->room) {
		uint32_t *more;

		crowd->room = crowd->room ? 2 * crowd->room : 65536;
		more = reallocarray(outcome->latencies, crowd->room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		outcome->latencies = more;
	}
	outcome->latencies[outcome->done++] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
	return 0;
}

static int go_on(struct crowd *crowd, unsigned number, uint32_t events)
{
	struct connection *connection = &crowd->connections[number];
	char byte = '?';
	ssize_t n;
	int r = 0;

	if (!connection->sent && events & EPOLLOUT && !(events & EPOLLERR))
		connection->sent = send(connection->fd, &byte, 1, MSG_NOSIGNAL) == 1;
	if (connection->sent && !(events & EPOLLIN))
		return 0;
	n = recv(connection->fd, &byte, 1, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n == 1)
		r = note(crowd, load_clock() - connection->begin);
	else
		crowd->outcome->failed++;
	closep(&connection->fd);
	connection->fd = -1;
	return r < 0 ? r : begin(crowd, number);
}

static int run(struct crowd *crowd)
{
	uint64_t start = load_clock(), now;
	struct epoll_event events[EVENTS];
	int r, n;

	for (unsigned i = 0; i < crowd->load->at_once; i++) {
		r = begin(crowd, i);
		if (r < 0)
			return r;
	}
	while (!load_is_over(crowd->load, crowd->outcome, (now = load_clock()) - start)) {
		n = epoll_wait(crowd->epoll, events, EVENTS, 10);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			r = go_on(crowd, events[i].data.u32, events[i].events);
			if (r < 0)
				return r;
		}
	}
	for (unsigned i = 0; i < crowd->load->at_once; i++)
		crowd->outcome->failed += now - crowd->connections[i].begin > STALLED_NS;
	crowd->outcome->duration = now - start;
	return 0;
}

int load_connections(const struct load *load, struct outcome *ret)
{
	_cleanup_(crowd_close) struct crowd crowd = CROWD_NULL;

	crowd.load = load;
	crowd.outcome = ret;
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd.epoll < 0)
		return -errno;
	crowd.connections = calloc(load->at_once, sizeof(*crowd.connections));
	if (!crowd.connections)
		return -ENOMEM;
	for (unsigned i = 0; i < load->at_once; i++)
		crowd.connections[i].fd = -1;
	return run(&crowd);
}
