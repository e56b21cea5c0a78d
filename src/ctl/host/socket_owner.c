/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket_owner.h"

#include <errno.h>
#include <stdio.h>

#include "../../scan/openers.h"

static bool is_before(const struct process *a, const struct process *b)
{
	if ((a->pid == 1) != (b->pid == 1))
		return b->pid == 1;
	return a->started < b->started;
}

static void consider_opener(struct process *owner, pid_t pid)
{
	struct process process = PROCESS_NULL;
	struct refusal refusal;

	if (process_open(pid, &process, &refusal))
		return;
	if (!owner->pid || is_before(&process, owner)) {
		struct process other = *owner;

		*owner = process;
		process = other;
	}
	if (process.pid)
		process_close(&process);
}

int socket_owner_find(
	const struct diag_socket *sockets, size_t n, pid_t except, struct process *owners, bool *ret_all)
{
	_cleanup_(openers_deinit) struct openers openers = {};
	int r = 0;

	if (ret_all)
		*ret_all = false;
	if (n)
		r = openers_find_proc(sockets, n, 0, &openers);
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* then no process was seen */
	if (ret_all)
		*ret_all = !openers.n_unreadable;
	for (size_t i = 0; i < openers.n; i++) {
		const struct opener *item = &openers.items[i];

		if (item->pid == except)
			continue;
		if (!i || item->pid != item[-1].pid || item->socket != item[-1].socket)
			consider_opener(&owners[item->socket], item->pid);
	}
	return 0;
}

const char *socket_owner_format(const struct diag_socket *socket, const struct process *owner,
	char text[static SOCKET_OWNER_TEXT_MAX])
{
	if (owner->pid)
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX, "%s (pid %d%s%s)", owner->name, owner->pid,
			owner->unit && *owner->unit ? ", " : "", owner->unit ? owner->unit : "");
	else if (!socket->inode)
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX, "the kernel");
	else
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX, "a process of uid %u%s", socket->uid,
			geteuid() ? " (run as root to see which)" : "");
	return text;
}
