/* SPDX-License-Identifier: BSD-3-Clause */
#include "account.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../util/clock.h"
#include "../util/macro.h"

/* An entry of a group lists its members; no directory has larger ones. */
#define ENTRY_MAX (16U * 1024U * 1024U)

static int find_user(const char *name, char *buffer, size_t size, id_t *ret)
{
	struct passwd entry, *found;
	int error = getpwnam_r(name, &entry, buffer, size, &found);

	if (found)
		*ret = entry.pw_uid;
	return found ? 0 : error ? -error : ACCOUNT_ABSENT;
}

static int find_group(const char *name, char *buffer, size_t size, id_t *ret)
{
	struct group entry, *found;
	int error = getgrnam_r(name, &entry, buffer, size, &found);

	if (found)
		*ret = entry.gr_gid;
	return found ? 0 : error ? -error : ACCOUNT_ABSENT;
}

int account_find(enum account_kind kind, const char *name, id_t *ret)
{
	int r = -ERANGE;

	for (size_t size = 4096; r == -ERANGE && size <= ENTRY_MAX; size *= 4) {
		_cleanup_free_ char *buffer = malloc(size);

		if (!buffer)
			return -ENOMEM;
		r = kind == ACCOUNT_USER ? find_user(name, buffer, size, ret)
					 : find_group(name, buffer, size, ret);
	}
	/* the ways in which getpwnam(3) says that there is none */
	return r == -ENOENT || r == -ESRCH || r == -EBADF || r == -EPERM ? ACCOUNT_ABSENT : r;
}

/* ---- in a process of their own */

struct answer {
	size_t index;
	int result;
	id_t id;
};

static _Noreturn void answer_all(const struct account_query *queries, size_t n, int channel)
{
	for (size_t i = 0; i < n; i++) {
		struct answer answer = {.index = i};

		answer.result = account_find(queries[i].kind, queries[i].name, &answer.id);
		if (send(channel, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* Return: whether all came. */
static bool read_answers(struct account_query *queries, size_t n, int channel, uint64_t until)
{
	struct pollfd readable = {.fd = channel, .events = POLLIN};
	struct answer answer;
	size_t n_read = 0;
	uint64_t now;

	while (n_read < n && (now = clock_monotonic_usec()) < until) {
		int r = poll(&readable, 1, (int)((until - now) / 1000) + 1);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			continue;
		if (recv(channel, &answer, sizeof(answer), 0) != sizeof(answer) || answer.index >= n)
			return false;
		queries[answer.index].result = answer.result;
		queries[answer.index].id = answer.id;
		n_read++;
	}
	return n_read == n;
}

static pid_t start(const struct account_query *queries, size_t n, int *ret_channel)
{
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		answer_all(queries, n, channel[1]);
	if (pid < 0)
		pid = -errno;
	(void)close(channel[1]);
	*ret_channel = channel[0];
	return pid;
}

void account_find_all(struct account_query *queries, size_t n, unsigned patience_ms)
{
	uint64_t until = clock_monotonic_usec() + patience_ms * UINT64_C(1000);
	_cleanup_close_ int channel = -1;
	pid_t pid;

	if (!n)
		return;
	pid = start(queries, n, &channel);
	for (size_t i = 0; i < n; i++)
		queries[i].result = pid < 0 ? pid : -ETIMEDOUT;
	if (pid < 0)
		return;
	if (read_answers(queries, n, channel, until)) {
		(void)waitpid(pid, NULL, 0);
		return;
	}
	(void)kill(pid, SIGKILL);
	/* one that waits where no signal reaches it is left behind */
	(void)waitpid(pid, NULL, WNOHANG);
}

const char *account_word(enum account_kind kind)
{
	return kind == ACCOUNT_USER ? "user" : "group";
}
