/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "complain.h"
#include "listen.h"

static bool is_given(const struct ctl *ctl, int fd)
{
	for (size_t i = 0; i < ctl->n_fds; i++)
		if (ctl->fds[i] == fd)
			return true;
	return false;
}

/* Of the descriptors given, those that $LISTEN_FDS does not have already */
static size_t find_missing(const struct ctl *ctl, const struct listening *before, int *ret)
{
	int end = LISTEN_FIRST + (int)before->n;
	size_t n = 0;

	for (size_t i = 0; i < ctl->n_fds; i++)
		if (ctl->fds[i] < LISTEN_FIRST || ctl->fds[i] >= end)
			ret[n++] = ctl->fds[i];
	return n;
}

static int read_environment(const struct ctl *ctl, struct listening *ret)
{
	struct refusal refusal;
	int r;

	*ret = (struct listening){};
	r = listen_read(ret, &refusal);
	if (r != REFUSED)
		return EXIT_SUCCESS;
	complain("cannot pass '%s' on: %s", ctl->names[0], refusal.text);
	return EXIT_BAD_CONFIG;
}

int bridge_check(const struct ctl *ctl)
{
	_cleanup_free_ int *missing = calloc(ctl->n_fds, sizeof(*missing));
	struct listening before;
	int r, first;
	size_t n;

	if (!missing)
		return complain_memory();
	r = read_environment(ctl, &before);
	if (r)
		return r;
	n = find_missing(ctl, &before, missing);
	first = LISTEN_FIRST + (int)before.n;
	for (int fd = first; fd < first + (int)n; fd++) {
		if (is_given(ctl, fd) || fcntl(fd, F_GETFD) < 0)
			continue;
		complain(
			"cannot pass '%s' on: it must become descriptor %d, where something else is open (EBUSY); close it with %d<&-, or let what starts usherctl use another number",
			ctl->names[0], fd, fd);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* 0 if it is not a socket */
static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0 ? 0 : cookie;
}

static bool is_one_of_the_sockets(const struct ctl *ctl, int fd)
{
	uint64_t cookie = cookie_of(fd);

	for (size_t i = 0; cookie && i < ctl->n_fds; i++)
		if (cookie_of(ctl->fds[i]) == cookie)
			return true;
	return false;
}

static int put_null(int target)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd == target)
		return fcntl(fd, F_SETFD, 0);
	if (fd < 0 || dup2(fd, target) < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

static char *repeat_name(const char *name, size_t n)
{
	char *text = calloc(n, strlen(name) + 1), *at = text;

	for (size_t i = 0; text && i < n; i++)
		at = stpcpy(stpcpy(at, i ? ":" : ""), name);
	return text;
}

int bridge_build(const struct ctl *ctl)
{
	_cleanup_free_ int *missing = calloc(ctl->n_fds, sizeof(*missing));
	_cleanup_free_ char *names = NULL;
	struct listening before;
	struct refusal refusal;
	bool is_socket[3];
	size_t n;
	int r = read_environment(ctl, &before);

	if (r)
		return r;
	for (int fd = 0; fd <= 2; fd++)
		is_socket[fd] = is_one_of_the_sockets(ctl, fd);
	if (!missing)
		return complain_memory();
	n = find_missing(ctl, &before, missing);
	if (!n)
		return EXIT_SUCCESS;
	names = repeat_name(ctl->names[0], n);
	if (!names)
		return complain_memory();
	r = listen_append(missing, n, names, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot pass '%s' on", ctl->names[0]);
	for (int fd = 0; fd <= 2; fd++) {
		r = is_socket[fd] ? put_null(fd) : 0;
		if (r < 0) {
			complain("cannot open '/dev/null': %s (%s)", errno_text(-r), errno_name(-r));
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}
