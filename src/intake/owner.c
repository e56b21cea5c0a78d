/* SPDX-License-Identifier: BSD-3-Clause */
#include "owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "../util/cleanup.h"
#include "../util/pidfd.h"

/* ---- which process: "Pid:" in the fdinfo of a pidfd, of no other kind of descriptor */

static int read_pid(int fd, pid_t *ret, struct refusal *refusal)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[64], line[128];
	bool found = false;
	int pid;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "Pid: %d", &pid) == 1;
	if (!found)
		return refuse(refusal, EINVAL,
			"the last descriptor is not a pidfd (EINVAL); for OWNER=pidfd send the sockets and, after them, the pidfd of the process that has them open");
	*ret = pid;
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

static int read_groups(struct owner *owner, const char *text)
{
	/* each has a digit and a blank */
	gid_t *groups = malloc((strlen(text) / 2 + 1) * sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	free(owner->groups);
	owner->groups = groups;
	owner->identity.n_groups = 0;
	for (;;) {
		char *end;
		unsigned long group = strtoul(text, &end, 10);

		if (end == text)
			return 0;
		groups[owner->identity.n_groups++] = (gid_t)group;
		text = end;
	}
}

/* Return: 0, -ENOENT or -ESRCH when the process has gone, -EUCLEAN when a field is missing. */
static int read_status(struct owner *owner, pid_t *ret_group)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	struct identity *identity = &owner->identity;
	bool uid = false, gid = false, group = false;
	size_t size = 0;
	char path[64];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)identity->pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!r && getline(&line, &size, file) > 0) {
		uid |= sscanf(line, "Uid: %*u %u", &identity->uid) == 1;
		gid |= sscanf(line, "Gid: %*u %u", &identity->gid) == 1;
		group |= sscanf(line, "Tgid: %d", ret_group) == 1;
		if (!strncmp(line, "Groups:", 7))
			r = read_groups(owner, line + 7);
	}
	if (r < 0)
		return r;
	return uid && gid && group && owner->groups ? 0 : -EUCLEAN;
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
	if (r < 0 || !pidfd_is_alive(owner.pidfd))
		return refuse_gone(pid, refusal);
	if (group != pid)
		return refuse(refusal, EINVAL,
			"the pidfd is of a thread of process %d (EINVAL); open it without PIDFD_THREAD",
			(int)group);
	*ret = owner;
	ret->identity.groups = owner.groups;
	ret->identity.unit = owner.unit ? owner.unit : "";
	owner = OWNER_NULL;
	return 0;
}

void owner_deinit(struct owner *owner)
{
	closep(&owner->pidfd);
	free(owner->groups);
	free(owner->unit);
}
