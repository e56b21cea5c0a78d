/* SPDX-License-Identifier: BSD-3-Clause */
#include "owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "../util/macro.h"
#include "../util/pidfd.h"
#include "../util/proc.h"
#include "user_unit.h"

/* ---- which process: "Pid:" in the fdinfo of a pidfd, of no other kind of descriptor */

static int read_pid(int fd, pid_t *ret, struct refusal *refusal)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	r = proc_read(AT_FDCWD, path, &text);
	if (r < 0)
		return r;
	if (!proc_parse_pidfd(text, ret))
		return refuse(refusal, EINVAL,
			"the last descriptor is not a pidfd (EINVAL); for OWNER=pidfd send the sockets and, after them, the pidfd of the process that has them open");
	return 0;
}

static int refuse_gone(pid_t pid, struct refusal *refusal)
{
	if (pid == 0)
		return refuse(refusal, ESRCH,
			"the process of the pidfd is not visible to the broker (ESRCH); it is in another pid namespace, whose own usherd must serve its sockets");
	if (pid < 0)
		return refuse(refusal, ESRCH,
			"the process of the pidfd has ended (ESRCH); its sockets have no owner any more");
	return refuse(
		refusal, ESRCH, "process %d has ended (ESRCH); its sockets have no owner any more", (int)pid);
}

/* ---- who that is: /proc/PID/status, which anybody may read */

/* Return: 0, -ENOENT or -ESRCH when the process has gone, -EBADMSG when a field is missing. */
static int read_status(struct owner *owner, pid_t *ret_group)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};
	_cleanup_free_ char *text = NULL;
	struct identity *identity = &owner->identity;
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)identity->pid);
	r = proc_read(AT_FDCWD, path, &text);
	if (!r)
		r = proc_parse_status(text, &status);
	if (r)
		return r;
	identity->uid = status.uid;
	identity->gid = status.gid;
	owner->groups = TAKE_PTR(status.groups);
	identity->n_groups = status.n_groups;
	*ret_group = status.group;
	return 0;
}

int owner_take(int *fd, struct owner *ret, struct refusal *refusal)
{
	_cleanup_(owner_deinit) struct owner owner = OWNER_NULL;
	pid_t pid = 0, group = 0;
	int r;

	r = read_pid(*fd, &pid, refusal);
	if (r)
		return r;
	owner.pidfd = TAKE_FD(*fd);
	if (pid <= 0)
		return refuse_gone(pid, refusal);
	owner.identity = (struct identity){.pid = pid, .verified = true};
	r = read_status(&owner, &group);
	if (r < 0 && pidfd_is_alive(owner.pidfd))
		return r;
	if (!r && sd_pid_get_unit(pid, &owner.unit) < 0)
		owner.unit = NULL;
	if (!r)
		owner.user_unit = user_unit_read(pid, owner.identity.uid, owner.unit);
	if (r < 0 || !pidfd_is_alive(owner.pidfd))
		return refuse_gone(pid, refusal);
	if (group != pid)
		return refuse(refusal, EINVAL,
			"the pidfd is of a thread of process %d (EINVAL); open it without PIDFD_THREAD",
			(int)group);
	*ret = owner;
	ret->identity.groups = owner.groups;
	ret->identity.unit = owner.unit ? owner.unit : "";
	ret->identity.user_unit = owner.user_unit;
	owner = OWNER_NULL;
	return 0;
}

void owner_deinit(struct owner *owner)
{
	closep(&owner->pidfd);
	free(owner->groups);
	free(owner->unit);
	free(owner->user_unit);
}
