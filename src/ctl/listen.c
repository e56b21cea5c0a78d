/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "../wire/names.h"
#include "complain.h"

static int check_pid(const char *text, struct refusal *refusal)
{
	unsigned long pid;

	if (!text)
		return refuse(refusal, EINVAL,
			"$LISTEN_FDS is set and $LISTEN_PID is not (EINVAL): what started usherctl has dropped it, or is not systemd; have it pass both (sh -c 'LISTEN_PID=$$ exec usherctl ...'), or name the descriptors: hand-in NAME --fd 3");
	if (text_to_uint(text, INT_MAX, &pid) < 0 || pid == 0)
		return refuse(refusal, EINVAL, "$LISTEN_PID '%.64s' is not a process id (EINVAL)", text);
	if (pid == (unsigned long)getpid())
		return 0;
	(void)refuse(refusal, ESRCH,
		"the sockets in $LISTEN_FDS are meant for process %lu and this one is %d (ESRCH); let the service manager or 'exec' start usherctl, or use --fd",
		pid, getpid());
	return LISTEN_NONE;
}

int listen_read(struct listening *ret, struct refusal *refusal)
{
	const char *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	unsigned long n;
	int r;

	if (!fds) {
		(void)refuse(refusal, ENOENT,
			"no socket was passed: $LISTEN_FDS is not set (ENOENT); use Sockets= in the unit, or --fd");
		return LISTEN_NONE;
	}
	r = check_pid(getenv("LISTEN_PID"), refusal);
	if (r)
		return r;
	if (text_to_uint(fds, INT_MAX - LISTEN_FIRST, &n) < 0)
		return refuse(
			refusal, EINVAL, "$LISTEN_FDS '%.64s' is not a number of descriptors (EINVAL)", fds);
	if (n == 0) {
		(void)refuse(refusal, ENOENT,
			"no socket was passed: $LISTEN_FDS is 0 (ENOENT); use Sockets= in the unit, or --fd");
		return LISTEN_NONE;
	}
	for (unsigned long i = 0; i < n; i++)
		if (fcntl(LISTEN_FIRST + (int)i, F_GETFD) < 0)
			return refuse(refusal, EBADF,
				"$LISTEN_FDS is %lu and descriptor %lu is not open (EBADF)", n,
				LISTEN_FIRST + i);
	if (names && names_count(names) != n)
		return refuse(refusal, EINVAL,
			"$LISTEN_FDNAMES '%.200s' has %zu names for %lu descriptors (EINVAL)", names,
			names_count(names), n);
	*ret = (struct listening){.n = n, .names = names};
	return 0;
}

static int refuse_errno(struct refusal *refusal, const char *action)
{
	int error = errno;

	return refuse(refusal, error, "cannot %s: %s (%s)%s", action, errno_text(error), errno_name(error),
		error == EMFILE || error == EINVAL ? "; raise the limit of open files (LimitNOFILE=)" : "");
}

/* The new places may overlap the old ones: move every descriptor above them first, then to its place. */
static int move_fds(int *fds, size_t n, int first, struct refusal *refusal)
{
	int last = first + (int)n;

	for (size_t i = 0; i < n; i++) {
		int high;

		if (fds[i] >= last)
			continue;
		high = fcntl(fds[i], F_DUPFD_CLOEXEC, last);
		if (high < 0)
			return refuse_errno(refusal, "move a socket to a higher descriptor");
		(void)close(fds[i]);
		fds[i] = high;
	}
	for (size_t i = 0; i < n; i++) {
		if (dup2(fds[i], first + (int)i) < 0)
			return refuse_errno(refusal, "move a socket to its place");
		(void)close(fds[i]);
		fds[i] = -1;
	}
	return 0;
}

static int set_variable(const char *variable, size_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%zu", number);
	return setenv(variable, text, 1);
}

static int set_environment(const struct listening *before, size_t n, const char *names)
{
	static const char unknown[] =
		"unknown:"; /* the name that sd_listen_fds_with_names(3) gives to a descriptor without one */
	size_t size = strlen(names) + 1;
	_cleanup_free_ char *all = NULL;

	size += before->names ? strlen(before->names) + 1 : before->n * strlen(unknown);
	all = calloc(1, size);
	if (!all)
		return -ENOMEM;
	if (before->names)
		(void)stpcpy(stpcpy(all, before->names), ":");
	else
		for (size_t i = 0; i < before->n; i++)
			(void)strcat(all, unknown);
	(void)strcat(all, names);
	if (setenv("LISTEN_FDNAMES", all, 1) < 0 || set_variable("LISTEN_FDS", before->n + n) < 0 ||
		set_variable("LISTEN_PID", (size_t)getpid()) < 0)
		return -ENOMEM;
	/* systemd 258 sets it to the inode of the pidfd of the intended process; $LISTEN_PID alone is valid too */
	(void)unsetenv("LISTEN_PIDFDID");
	return 0;
}

int listen_append(int *fds, size_t n, const char *names, struct refusal *refusal)
{
	struct listening before = {};
	int r;

	r = listen_read(&before, refusal);
	if (r == REFUSED)
		return r;
	r = move_fds(fds, n, LISTEN_FIRST + (int)before.n, refusal);
	if (r)
		return r;
	return set_environment(&before, n, names);
}
