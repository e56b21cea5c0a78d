/* SPDX-License-Identifier: BSD-3-Clause */
#include "services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/usher.h"
#include "util/macro.h"

_Noreturn void services_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)fputs("bench_hand_in: ", stderr);
	(void)vfprintf(stderr, format, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

uint64_t services_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void *services_allocate(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		services_fail("out of memory");
	return memory;
}

int services_listen(int family)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, r;

	if (fd < 0)
		services_fail("cannot make a socket: %s", strerror(errno));
	if (family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		r = bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	} else {
		r = bind(fd, (const struct sockaddr *)&in, sizeof(in));
	}
	if (r < 0 || listen(fd, 16) < 0)
		services_fail("cannot listen: %s", strerror(errno));
	return fd;
}

int *services_listen_often(unsigned n)
{
	int *fds = services_allocate(n, sizeof(*fds));

	for (unsigned i = 0; i < n; i++)
		fds[i] = services_listen(i % 2 ? AF_INET6 : AF_INET);
	return fds;
}

const char *services_name(unsigned number, char name[static 16])
{
	(void)snprintf(name, 16, "n%04u", number);
	return name;
}

void services_print(uint64_t all, const uint64_t *each, unsigned n)
{
	printf("%llu", (unsigned long long)all);
	for (unsigned i = 0; i < n; i++)
		printf(" %llu", (unsigned long long)each[i]);
	if (putchar('\n') < 0 || fflush(stdout))
		services_fail("cannot write");
}

void services_hand_in(unsigned number, const int *fds, size_t n_fds)
{
	char name[16];

	if (usher_hand_in(services_name(number, name), fds, n_fds, USHER_STRICT, 0) < 0)
		services_fail("%s: %s", name, usher_reason());
}

/* ---- several at once */

struct child {
	pid_t pid;
	int answer; /* nanoseconds of each of its calls; valid after it has made them */
};

/* Fork a process that makes `n` calls, for the names from `first` on, as soon as the pipe `start` is closed. */
static struct child spawn(const int start[2], unsigned first, unsigned n, unsigned n_fds)
{
	uint64_t *each;
	int answer[2], *fds;
	struct child child;
	char byte;

	if (pipe(answer) < 0)
		services_fail("cannot make a pipe: %s", strerror(errno));
	child = (struct child){.pid = fork(), .answer = answer[0]};
	if (child.pid < 0)
		services_fail("cannot fork: %s", strerror(errno));
	if (child.pid) {
		(void)close(answer[1]);
		return child;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)close(start[1]);
	each = services_allocate(n, sizeof(*each));
	fds = services_listen_often(n * n_fds);
	if (write(answer[1], "r", 1) != 1)
		services_fail("cannot write: %s", strerror(errno));
	(void)read(start[0], &byte, 1);
	for (unsigned i = 0; i < n; i++) {
		uint64_t called = services_now();

		services_hand_in(first + i, &fds[i * n_fds], n_fds);
		each[i] = services_now() - called;
	}
	if (write(answer[1], each, n * sizeof(*each)) != (ssize_t)(n * sizeof(*each)))
		services_fail("cannot write: %s", strerror(errno));
	for (;;)
		(void)pause();
}

/* Read the whole answer of a child, or end the program. */
static void hear(const struct child *child, void *data, size_t size)
{
	while (size) {
		ssize_t n = read(child->answer, data, size);

		if (n <= 0)
			services_fail("a process ended early");
		data = (char *)data + n;
		size -= (size_t)n;
	}
}

void services_wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
}

void services_run(unsigned n_children, unsigned n_calls, unsigned n_fds, bool stay)
{
	_cleanup_free_ struct child *children = services_allocate(n_children, sizeof(*children));
	_cleanup_free_ uint64_t *each = services_allocate((size_t)n_children * n_calls, sizeof(*each));
	uint64_t begin, end;
	int start[2];
	char byte;

	if (pipe(start) < 0)
		services_fail("cannot make a pipe: %s", strerror(errno));
	for (unsigned i = 0; i < n_children; i++)
		children[i] = spawn(start, i * n_calls, n_calls, n_fds);
	for (unsigned i = 0; i < n_children; i++)
		hear(&children[i], &byte, 1);
	begin = services_now();
	(void)close(start[1]);
	for (unsigned i = 0; i < n_children; i++)
		hear(&children[i], &each[(size_t)i * n_calls], n_calls * sizeof(*each));
	end = services_now();
	services_print(end - begin, each, n_children * n_calls);
	if (stay)
		services_wait_for_end();
	for (unsigned i = 0; i < n_children; i++)
		(void)kill(children[i].pid, SIGKILL);
	while (wait(NULL) > 0)
		continue;
}
