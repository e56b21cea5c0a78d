/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Services that hand in, and nothing else: the client side of tests/bench/broker.py
 *
 *	bench_hand_in library N          N names, one socket each, one after another, with usher_hand_in()
 *	bench_hand_in session N          the same on one connection, with the protocol
 *	bench_hand_in packets N          the same on one connection, as many sockets in a packet as it takes
 *	bench_hand_in crowd N            as library, from CROWD processes at once
 *	bench_hand_in first N            N times a socket of the first name, and a client that connects to FIRST_ADDRESS
 *	bench_hand_in fill N             SOCKETS of each of N names, one hand-in for each socket
 *	bench_hand_in services N         N processes at once, SOCKETS of a name each in one hand-in
 *	bench_hand_in steady RATE SECONDS [NAMES]
 *
 * It is told what to do by Python and is written in C because an interpreter would take longer than what is measured.
 * The names are n0000, n0001...; n0000 is to get what comes to FIRST_ADDRESS, FIRST_PORT. Everything that is not a
 * hand-in is done before the clock starts. On standard output: the nanoseconds of all, and of each. `fill` and
 * `services` then keep their sockets until standard input ends.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/usher.h"
#include "util/macro.h"
#include "wire/protocol.h"

#define FIRST_ADDRESS "192.0.2.1"
#define FIRST_PORT 10000
#define CROWD 8U
#define SOCKETS 10U

static const char usage[] = "usage: bench_hand_in library|session|packets|crowd|first|fill|services N\n"
			    "       bench_hand_in steady RATE SECONDS [NAMES]\n";

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)fputs("bench_hand_in: ", stderr);
	(void)vfprintf(stderr, format, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *allocate(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		fail("out of memory");
	return memory;
}

/* A listening socket on a port of the kernel's choice. */
static int listen_at(int family)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, r;

	if (fd < 0)
		fail("cannot make a socket: %s", strerror(errno));
	if (family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		r = bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	} else {
		r = bind(fd, (const struct sockaddr *)&in, sizeof(in));
	}
	if (r < 0 || listen(fd, 16) < 0)
		fail("cannot listen: %s", strerror(errno));
	return fd;
}

static int *listen_often(unsigned n)
{
	int *fds = allocate(n, sizeof(*fds));

	for (unsigned i = 0; i < n; i++)
		fds[i] = listen_at(i % 2 ? AF_INET6 : AF_INET);
	return fds;
}

static const char *name_of(unsigned number, char name[static 16])
{
	(void)snprintf(name, 16, "n%04u", number);
	return name;
}

static void print(uint64_t all, const uint64_t *each, unsigned n)
{
	printf("%llu", (unsigned long long)all);
	for (unsigned i = 0; i < n; i++)
		printf(" %llu", (unsigned long long)each[i]);
	if (putchar('\n') < 0 || fflush(stdout))
		fail("cannot write");
}

/* ---- one after another */

static void hand_in(unsigned number, const int *fds, size_t n_fds)
{
	char name[16];

	if (usher_hand_in(name_of(number, name), fds, n_fds, USHER_STRICT, 0) < 0)
		fail("%s: %s", name, usher_reason());
}

static void run_library(unsigned n)
{
	_cleanup_free_ uint64_t *each = allocate(n, sizeof(*each));
	_cleanup_free_ int *fds = listen_often(n);
	uint64_t begin;

	begin = now();
	for (unsigned i = 0; i < n; i++) {
		uint64_t called = now();

		hand_in(i, &fds[i], 1);
		each[i] = now() - called;
	}
	print(now() - begin, each, n);
}

/* A hand-in of the protocol: `n_fds` sockets of as many names. */
static void send_names(struct client *client, unsigned first, const int *fds, unsigned n_fds)
{
	char names[PROTOCOL_HAND_IN_MAX * 8] = "", name[16];
	struct refusal refusal;
	struct writer request;
	size_t size = 0;

	for (unsigned i = 0; i < n_fds; i++)
		size += (size_t)snprintf(
			names + size, sizeof(names) - size, "%s%s", i ? ":" : "", name_of(first + i, name));
	client_renew(client);
	client_begin(&request, "hand-in");
	writer_put(&request, n_fds > 1 ? "NAMES" : "NAME", "%s", names);
	if (client_request(client, &request, fds, n_fds, &refusal) || client_next(client, &refusal))
		fail("%s", refusal.text);
}

static void run_session(unsigned n, unsigned step)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_free_ uint64_t *each = allocate(n, sizeof(*each));
	_cleanup_free_ int *fds = listen_often(n);
	struct refusal refusal;
	unsigned n_packets = 0;
	uint64_t begin;

	if (client_open(&client, NULL, 0, &refusal))
		fail("%s", refusal.text);
	begin = now();
	for (unsigned i = 0; i < n; i += step) {
		uint64_t called = now();

		send_names(&client, i, &fds[i], n - i < step ? n - i : step);
		each[n_packets++] = now() - called;
	}
	print(now() - begin, each, n_packets);
}

/* ---- up to a client */

static int connect_first(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(FIRST_PORT)};
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, FIRST_ADDRESS, &address.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("cannot connect to %s: %s", FIRST_ADDRESS, strerror(errno));
	/* no TIME_WAIT: its port stays free for the next one */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void run_first(unsigned n)
{
	_cleanup_free_ uint64_t *each = allocate(n, sizeof(*each));
	uint64_t begin = now();

	for (unsigned i = 0; i < n; i++) {
		int listener = listen_at(AF_INET), client, accepted;
		uint64_t called = now();

		hand_in(0, &listener, 1);
		client = connect_first();
		each[i] = now() - called;
		accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (accepted < 0)
			fail("the connection came to somebody else");
		(void)close(client);
		(void)close(accepted);
		(void)close(listener);
	}
	print(now() - begin, each, n);
}

/* ---- several at once */

struct child {
	pid_t pid;
	int answer; /* nanoseconds of each of its calls, once it has made them */
};

/* Forks a process that makes `n` calls for the names from `first` on as soon as the pipe `start` is closed. */
static struct child spawn(const int start[2], unsigned first, unsigned n, unsigned n_fds)
{
	uint64_t *each;
	int answer[2], *fds;
	struct child child;
	char byte;

	if (pipe(answer) < 0)
		fail("cannot make a pipe: %s", strerror(errno));
	child = (struct child){.pid = fork(), .answer = answer[0]};
	if (child.pid < 0)
		fail("cannot fork: %s", strerror(errno));
	if (child.pid) {
		(void)close(answer[1]);
		return child;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)close(start[1]);
	each = allocate(n, sizeof(*each));
	fds = listen_often(n * n_fds);
	if (write(answer[1], "r", 1) != 1)
		fail("cannot write: %s", strerror(errno));
	(void)read(start[0], &byte, 1);
	for (unsigned i = 0; i < n; i++) {
		uint64_t called = now();

		hand_in(first + i, &fds[i * n_fds], n_fds);
		each[i] = now() - called;
	}
	if (write(answer[1], each, n * sizeof(*each)) != (ssize_t)(n * sizeof(*each)))
		fail("cannot write: %s", strerror(errno));
	for (;;)
		(void)pause();
}

/* The whole answer of a child, or the end of everything. */
static void hear(const struct child *child, void *data, size_t size)
{
	while (size) {
		ssize_t n = read(child->answer, data, size);

		if (n <= 0)
			fail("a process ended early");
		data = (char *)data + n;
		size -= (size_t)n;
	}
}

static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
}

static void run_children(unsigned n_children, unsigned n_calls, unsigned n_fds, bool stay)
{
	_cleanup_free_ struct child *children = allocate(n_children, sizeof(*children));
	_cleanup_free_ uint64_t *each = allocate((size_t)n_children * n_calls, sizeof(*each));
	uint64_t begin, end;
	int start[2];
	char byte;

	if (pipe(start) < 0)
		fail("cannot make a pipe: %s", strerror(errno));
	for (unsigned i = 0; i < n_children; i++)
		children[i] = spawn(start, i * n_calls, n_calls, n_fds);
	for (unsigned i = 0; i < n_children; i++)
		hear(&children[i], &byte, 1);
	begin = now();
	(void)close(start[1]);
	for (unsigned i = 0; i < n_children; i++)
		hear(&children[i], &each[(size_t)i * n_calls], n_calls * sizeof(*each));
	end = now();
	print(end - begin, each, n_children * n_calls);
	if (stay)
		wait_for_end();
	for (unsigned i = 0; i < n_children; i++)
		(void)kill(children[i].pid, SIGKILL);
	while (wait(NULL) > 0)
		continue;
}

static void run_fill(unsigned n)
{
	_cleanup_free_ uint64_t *each = allocate(n * SOCKETS, sizeof(*each));
	_cleanup_free_ int *fds = listen_often(n * SOCKETS);
	uint64_t begin;

	begin = now();
	for (unsigned i = 0; i < n * SOCKETS; i++) {
		uint64_t called = now();

		hand_in(i / SOCKETS, &fds[i], 1);
		each[i] = now() - called;
	}
	print(now() - begin, each, n * SOCKETS);
	wait_for_end();
}

/* ---- at a rate */

static void run_steady(unsigned rate, double seconds, unsigned n_names)
{
	unsigned n = (unsigned)(rate * seconds);
	_cleanup_free_ uint64_t *each = allocate(n, sizeof(*each));
	uint64_t begin = now();

	for (unsigned i = 0; i < n; i++) {
		uint64_t due = begin + (uint64_t)i * 1000000000 / rate, called;
		const struct timespec until = {
			.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
		int listener = listen_at(i % 2 ? AF_INET6 : AF_INET);

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			continue;
		called = now();
		hand_in(i % n_names, &listener, 1);
		each[i] = now() - called;
		(void)close(listener);
	}
	print(now() - begin, each, n);
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
		fail("'%s' is not a number of anything", text);
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
		run_children(CROWD, n / CROWD, 1, false);
	else if (!strcmp(mode, "first"))
		run_first(n);
	else if (!strcmp(mode, "fill"))
		run_fill(n);
	else if (!strcmp(mode, "services"))
		run_children(n, 1, SOCKETS, true);
	else if (!strcmp(mode, "steady") && argc > 3)
		run_steady(n, strtod(argv[3], NULL), argc > 4 ? number_of(argv[4]) : 1);
	else
		return fputs(usage, stderr), 2;
	return 0;
}
