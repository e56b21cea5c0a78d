/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Services that only hand in: the client side of tests/bench/broker.py
 *
 *	bench_hand_in library N          N names, one socket each, one after another, with usher_hand_in()
 *	bench_hand_in session N          the same on one connection, with the protocol
 *	bench_hand_in packets N          the same on one connection, with as many sockets in a packet as it takes
 *	bench_hand_in crowd N            as library, from CROWD processes at once
 *	bench_hand_in first N            N times a socket of the first name, and a client that connects to FIRST_ADDRESS
 *	bench_hand_in fill N             SOCKETS of each of N names, one hand-in for each socket
 *	bench_hand_in services N         N processes at once, each with SOCKETS of a name in one hand-in
 *	bench_hand_in steady RATE SECONDS [NAMES]
 *
 * Python runs it. It is written in C because an interpreter would take longer than what is measured. The names are
 * n0000, n0001...; n0000 gets the packets to FIRST_ADDRESS, FIRST_PORT. Everything but the hand-ins is done before
 * the clock starts. Prints the nanoseconds of all, and of each. After that, `fill` and `services` keep their sockets
 * until standard input ends.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/client.h"
#include "services.h"
#include "util/macro.h"
#include "wire/protocol.h"

#define FIRST_ADDRESS "192.0.2.1"
#define FIRST_PORT 10000
#define CROWD 8U
#define SOCKETS 10U

static const char usage[] = "usage: bench_hand_in library|session|packets|crowd|first|fill|services N\n"
			    "       bench_hand_in steady RATE SECONDS [NAMES]\n";

/* ---- one after another */

static void run_library(unsigned n)
{
	_cleanup_free_ uint64_t *each = services_allocate(n, sizeof(*each));
	_cleanup_free_ int *fds = services_listen_often(n);
	uint64_t begin;

	begin = services_now();
	for (unsigned i = 0; i < n; i++) {
		uint64_t called = services_now();

		services_hand_in(i, &fds[i], 1);
		each[i] = services_now() - called;
	}
	services_print(services_now() - begin, each, n);
}

/* A hand-in with the protocol: `n_fds` sockets under as many names */
static void send_names(struct client *client, unsigned first, const int *fds, unsigned n_fds)
{
	char names[PROTOCOL_HAND_IN_MAX * 8] = "", name[16];
	struct refusal refusal;
	struct writer request;
	size_t size = 0;

	for (unsigned i = 0; i < n_fds; i++)
		size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i ? ":" : "",
			services_name(first + i, name));
	client_renew(client);
	client_begin(&request, REQUEST_HAND_IN);
	writer_put(&request, n_fds > 1 ? KEY_NAMES : KEY_NAME, "%s", names);
	if (client_request(client, &request, fds, n_fds, &refusal) || client_next(client, &refusal))
		services_fail("%s", refusal.text);
}

static void run_session(unsigned n, unsigned step)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_free_ uint64_t *each = services_allocate(n, sizeof(*each));
	_cleanup_free_ int *fds = services_listen_often(n);
	struct refusal refusal;
	unsigned n_packets = 0;
	uint64_t begin;

	if (client_open(&client, NULL, 0, &refusal))
		services_fail("%s", refusal.text);
	begin = services_now();
	for (unsigned i = 0; i < n; i += step) {
		uint64_t called = services_now();

		send_names(&client, i, &fds[i], n - i < step ? n - i : step);
		each[n_packets++] = services_now() - called;
	}
	services_print(services_now() - begin, each, n_packets);
}

/* ---- up to a client */

static int connect_first(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(FIRST_PORT)};
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, FIRST_ADDRESS, &address.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		services_fail("cannot connect to %s: %s", FIRST_ADDRESS, strerror(errno));
	/* no TIME_WAIT: its port is free for the next one */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void run_first(unsigned n)
{
	_cleanup_free_ uint64_t *each = services_allocate(n, sizeof(*each));
	uint64_t begin = services_now();

	for (unsigned i = 0; i < n; i++) {
		int listener = services_listen(AF_INET), client, accepted;
		uint64_t called = services_now();

		services_hand_in(0, &listener, 1);
		client = connect_first();
		each[i] = services_now() - called;
		accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (accepted < 0)
			services_fail("the connection came to somebody else");
		(void)close(client);
		(void)close(accepted);
		(void)close(listener);
	}
	services_print(services_now() - begin, each, n);
}

static void run_fill(unsigned n)
{
	_cleanup_free_ uint64_t *each = services_allocate(n * SOCKETS, sizeof(*each));
	_cleanup_free_ int *fds = services_listen_often(n * SOCKETS);
	uint64_t begin;

	begin = services_now();
	for (unsigned i = 0; i < n * SOCKETS; i++) {
		uint64_t called = services_now();

		services_hand_in(i / SOCKETS, &fds[i], 1);
		each[i] = services_now() - called;
	}
	services_print(services_now() - begin, each, n * SOCKETS);
	services_wait_for_end();
}

/* ---- at a rate */

static void run_steady(unsigned rate, double seconds, unsigned n_names)
{
	unsigned n = (unsigned)(rate * seconds);
	_cleanup_free_ uint64_t *each = services_allocate(n, sizeof(*each));
	uint64_t begin = services_now();

	for (unsigned i = 0; i < n; i++) {
		uint64_t due = begin + (uint64_t)i * 1000000000 / rate, called;
		const struct timespec until = {
			.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
		int listener = services_listen(i % 2 ? AF_INET6 : AF_INET);

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			continue;
		called = services_now();
		services_hand_in(i % n_names, &listener, 1);
		each[i] = services_now() - called;
		(void)close(listener);
	}
	services_print(services_now() - begin, each, n);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static unsigned number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end || !number || number > 1000000)
		services_fail("'%s' is not a number of anything", text);
	return (unsigned)number;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	unsigned n = argc > 2 ? number_of(argv[2]) : 0;

	raise_descriptor_limit();
	if (!strcmp(mode, "library"))
		run_library(n);
	else if (!strcmp(mode, "session"))
		run_session(n, 1);
	else if (!strcmp(mode, "packets"))
		run_session(n, PROTOCOL_HAND_IN_MAX);
	else if (!strcmp(mode, "crowd"))
		services_run(CROWD, n / CROWD, 1, false);
	else if (!strcmp(mode, "first"))
		run_first(n);
	else if (!strcmp(mode, "fill"))
		run_fill(n);
	else if (!strcmp(mode, "services"))
		services_run(n, 1, SOCKETS, true);
	else if (!strcmp(mode, "steady") && argc > 3)
		run_steady(n, strtod(argv[3], NULL), argc > 4 ? number_of(argv[4]) : 1);
	else
		return fputs(usage, stderr), 2;
	return 0;
}
