/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket_owner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../scan/openers.h"

#define FIRST_PID_NAMESPACE 0xeffffffcU

/* The names of owners with pid 0: nobody was overlooked, and no process has the socket open */
#define KERNEL "(kernel)"
#define NOBODY "(nobody)"

/* Those that have sockets open for others come after all others: the broker, which holds them, and process 1. */
static int rank(const struct process *process)
{
	return process->pid == 1 ? 2 : strcmp(process->name, "usherd") == 0;
}

static bool is_before(const struct process *a, const struct process *b)
{
	if (rank(a) != rank(b))
		return rank(a) < rank(b);
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

/* Processes of other PID namespaces are not visible from any but the first one. */
static bool sees_every_process(const struct openers *openers)
{
	struct stat st;

	return !openers->n_unreadable && stat("/proc/self/ns/pid", &st) == 0 &&
	       st.st_ino == FIRST_PID_NAMESPACE;
}

/* VXLAN, WireGuard, NFS and others open sockets in the kernel, which sock_diag shows with an inode like those of processes. */
static void name_nobody(const struct openers *openers, size_t i, struct process *owner)
{
	for (size_t k = 0; k < openers->n; k++)
		if (openers->items[k].socket == i)
			return;
	if (sees_every_process(openers))
		(void)snprintf(owner->name, sizeof(owner->name), "%s", KERNEL);
	else if (!openers->n_unreadable)
		(void)snprintf(owner->name, sizeof(owner->name), "%s", NOBODY);
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
	for (size_t i = 0; i < n; i++)
		name_nobody(&openers, i, &owners[i]);
	return 0;
}

const char *socket_owner_format(const struct diag_socket *socket, const struct process *owner,
	char text[static SOCKET_OWNER_TEXT_MAX])
{
	if (owner->pid)
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX, "%s (pid %d%s%s)", owner->name, owner->pid,
			owner->unit && *owner->unit ? ", " : "", owner->unit ? owner->unit : "");
	else if (!socket->inode || strcmp(owner->name, KERNEL) == 0)
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX,
			"the kernel itself, for example VXLAN or WireGuard (no process has the socket open)");
	else if (strcmp(owner->name, NOBODY) == 0)
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX,
			"no process of this PID namespace, but of another one or the kernel itself, for example VXLAN or WireGuard");
	else
		(void)snprintf(text, SOCKET_OWNER_TEXT_MAX, "a process of uid %u%s%s", socket->uid,
			socket->uid ? "" : ", or the kernel itself",
			geteuid() ? " (run as root to see which)" : "");
	return text;
}

bool socket_owner_is_absent(const struct diag_socket *socket, const struct process *owner)
{
	return !owner->pid && (!socket->inode || *owner->name);
}
