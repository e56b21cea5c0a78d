/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Datagrams that come back, a number of them in flight at a time
 *
 * One flow is a connected socket. Many flows are an unconnected socket with a new port in each run and another source
 * address in each request: cheap for the client, and new to everything that remembers flows.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "load.h"
#include "util/macro.h"

#define TURN 64		      /* answers between two looks at the clock */
#define LOST_NS 200000000     /* after which a request counts as lost */
#define LOOK_EVERY_NS 5000000 /* for lost ones */

/* 32 bytes, like a small DNS query; never begins with a 'w' */
struct request {
	uint64_t zero, number;
	uint64_t padding[2];
};

struct window {
	const struct load *load;
	struct outcome *outcome;
	int fd;
	uint32_t sent;	   /* for the choice of the next source */
	uint64_t now;	   /* of this turn */
	uint64_t *numbers; /* of the request in flight in each slot; its remainder is the slot */
	uint64_t *begins;
};

#define WINDOW_NULL ((struct window){.fd = -1})

static void window_close(struct window *window)
{
	closep(&window->fd);
	free(window->numbers);
	free(window->begins);
}

/*
 * Send the next request of a slot. One that the kernel does not take counts as lost when its time is over, like any
 * other.
 */
static void send_next(struct window *window, unsigned slot)
{
	struct request request = {.number = window->numbers[slot] += window->load->at_once};
	struct iovec part = {.iov_base = &request, .iov_len = sizeof(request)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)),
			     .cmsg_level = IPPROTO_IP,
			     .cmsg_type = IP_PKTINFO}};
	struct sockaddr_in target = window->load->target;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (window->load->n_sources) {
		struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(&control.header);

		info->ipi_spec_dst.s_addr =
			htonl(window->load->source + window->sent++ % window->load->n_sources);
		message.msg_name = &target;
		message.msg_namelen = sizeof(target);
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	window->begins[slot] = window->now;
	(void)sendmsg(window->fd, &message, 0);
}

static int receive(struct window *window)
{
	struct request answer;

	for (int i = 0; i < TURN; i++) {
		ssize_t n = recv(window->fd, &answer, sizeof(answer), 0);
		unsigned slot;

		if (n < 0)
			return errno == EAGAIN || errno == ECONNREFUSED ? 0 : -errno;
		slot = (unsigned)(answer.number % window->load->at_once);
		if (n != sizeof(answer) || answer.number != window->numbers[slot])
			continue; /* it counts as lost already */
		window->outcome->done++;
		send_next(window, slot);
	}
	return 0;
}

static void give_up(struct window *window)
{
	for (unsigned i = 0; i < window->load->at_once; i++)
		if (window->now - window->begins[i] > LOST_NS) {
			window->outcome->failed++;
			send_next(window, i);
		}
}

static int run(struct window *window)
{
	struct pollfd wanted = {.fd = window->fd, .events = POLLIN};
	uint64_t start = window->now = load_clock(), looked = start;
	int r;

	for (unsigned i = 0; i < window->load->at_once; i++) {
		window->numbers[i] = i;
		send_next(window, i);
	}
	while (!load_is_over(window->load, window->outcome, window->now - start)) {
		if (poll(&wanted, 1, 10) < 0 && errno != EINTR)
			return -errno;
		r = receive(window);
		if (r < 0)
			return r;
		window->now = load_clock();
		if (window->now - looked > LOOK_EVERY_NS) {
			give_up(window);
			looked = window->now;
		}
	}
	window->outcome->duration = window->now - start;
	return 0;
}

int load_requests(const struct load *load, struct outcome *ret)
{
	_cleanup_(window_close) struct window window = WINDOW_NULL;

	window.load = load;
	window.outcome = ret;
	window.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (window.fd < 0)
		return -errno;
	if (!load->n_sources &&
		connect(window.fd, (const struct sockaddr *)&load->target, sizeof(load->target)) < 0)
		return -errno;
	window.numbers = calloc(load->at_once, sizeof(*window.numbers));
	window.begins = calloc(load->at_once, sizeof(*window.begins));
	return window.numbers && window.begins ? run(&window) : -ENOMEM;
}
