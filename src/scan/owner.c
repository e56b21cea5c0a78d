/* SPDX-License-Identifier: BSD-3-Clause */
#include "owner.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util/array.h"

#define MANAGER_PID 1

void owners_deinit(struct owners *owners)
{
	for (size_t i = 0; i < owners->n; i++) {
		process_close(owners->processes[i]);
		free(owners->processes[i]);
	}
	free(owners->processes);
	*owners = (struct owners){.n = 0};
}

static int compare_pid(const void *pid, const void *process)
{
	pid_t x = *(const pid_t *)pid, y = (*(struct process *const *)process)->pid;

	return (x > y) - (x < y);
}

static int insert(struct owners *owners, size_t at, struct process *process)
{
	if (ARRAY_RESERVE(owners->processes, owners->n) < 0)
		return -ENOMEM;
	memmove(&owners->processes[at + 1], &owners->processes[at],
		(owners->n - at) * sizeof(struct process *));
	owners->processes[at] = process;
	owners->n++;
	return 0;
}

/* Return: as process_open(). */
static int look_at_process(
	struct owners *owners, pid_t pid, const struct process **ret, struct refusal *refusal)
{
	size_t at = array_lower_bound(
		&pid, owners->processes, owners->n, sizeof(*owners->processes), compare_pid);
	_cleanup_(process_close) struct process process = PROCESS_NULL;
	struct process *known;
	int r;

	if (at < owners->n && owners->processes[at]->pid == pid) {
		*ret = owners->processes[at];
		return 0;
	}
	r = process_open(pid, &process, refusal);
	if (r)
		return r;
	/* strangers may have the socket open in more processes than this one has free descriptors */
	closep(&process.pidfd);
	process.pidfd = -1;
	known = malloc(sizeof(*known));
	if (!known)
		return -ENOMEM;
	r = insert(owners, at, known);
	if (r < 0) {
		free(known);
		return r;
	}
	*known = process;
	process = PROCESS_NULL;
	*ret = known;
	return 0;
}

/* Process 1 holds the sockets of socket units, and those that services have put into their store. */
static int check_manager(const struct rule *rule, struct refusal *refusal)
{
	if (rule->discover.units.n || rule->discover.executables.n)
		return 0;
	return refuse(refusal, EACCES,
		"is open only in process 1, which listens on behalf of services (EACCES); hand it in from its socket unit, or name process 1 with Unit= or Executable= of [Discover] in %s",
		rule->path);
}

int owner_check(const struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct process *process, struct refusal *refusal)
{
	struct identity identity = process_identity(process);
	struct refusal reason;

	if (rule->discover.executables.n && !process->executable)
		return refuse(refusal, EACCES,
			"is open in '%s' (uid %u), whose program cannot be determined (EACCES), but Executable= in %s requires it; run as root or in usher-discover.service",
			process->name, process->uid, rule->path);
	if (access_check_owner(owners->access, rule, &identity, process->executable, &reason))
		return refuse(refusal, reason.error, "is open in '%s' (uid %u%s%s): %s", process->name,
			process->uid, *process->unit ? ", " : "", process->unit, reason.text);
	if (socket->uid && socket->uid != process->uid)
		return refuse(refusal, EACCES,
			"was created by uid %u and passed on to '%s' of uid %u (EACCES); it must be created by the user of that process or by root",
			socket->uid, process->name, process->uid);
	return process->pid == MANAGER_PID ? check_manager(rule, refusal) : 0;
}

/*
 * The older process precedes, process 1 comes last. Within one tick the lower pid is older, unless pids wrapped
 * around.
 */
static bool precedes(const struct process *a, const struct process *b)
{
	if (!b || (a->pid == MANAGER_PID) != (b->pid == MANAGER_PID))
		return !b || b->pid == MANAGER_PID;
	return a->started != b->started ? a->started < b->started : a->pid < b->pid;
}

static bool is_own(const struct owners *owners, pid_t pid)
{
	for (size_t i = 0; i < owners->n_kin; i++)
		if (owners->kin[i] == pid)
			return true;
	return pid == getpid() || pid == owners->broker;
}

int owner_choose(struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct opener *openers, size_t n, const struct process **ret, struct refusal *refusal)
{
	const struct process *best = NULL, *stranger = NULL;
	bool unseen = false, held = false;
	struct refusal reason;

	for (size_t i = 0; i < n; i++) {
		const struct process *process;
		int r;

		held |= owners->broker && openers[i].pid == owners->broker;
		if (is_own(owners, openers[i].pid) || (i && openers[i].pid == openers[i - 1].pid))
			continue;
		r = look_at_process(owners, openers[i].pid, &process, &reason);
		if (r < 0)
			return r;
		if (r == REFUSED && !unseen && !stranger)
			(void)refuse(refusal, reason.error, "has an owner that cannot be determined: %s",
				reason.text);
		unseen |= r == REFUSED;
		if (r)
			continue;
		if (!owner_check(owners, rule, socket, process, &reason)) {
			if (precedes(process, best))
				best = process;
		} else if (precedes(process, stranger)) {
			stranger = process;
			*refusal = reason;
		}
	}
	*ret = best ? best : stranger;
	if (best)
		return 0;
	if (stranger || unseen)
		return REFUSED;
	if (held)
		return refuse(refusal, ESRCH,
			"is open only in the broker, which holds it for a process that has ended (ESRCH)");
	return OWNER_NONE;
}
