/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>

#include "../util/errno_name.h"
#include "../util/pidfd.h"
#include "../util/proc.h"

#define DELETED " (deleted)"

static int read_status(int directory, struct process *process)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};
	_cleanup_free_ char *text = NULL;
	int r = proc_read(directory, "status", &text);

	if (!r)
		r = proc_parse_status(text, &status);
	if (r)
		return r;
	process->uid = status.uid;
	process->gid = status.gid;
	process->groups = TAKE_PTR(status.groups);
	process->n_groups = status.n_groups;
	return 0;
}

static int read_stat(int directory, struct process *process)
{
	_cleanup_free_ char *text = NULL;
	struct proc_stat stat;
	int r = proc_read(directory, "stat", &text);

	if (!r)
		r = proc_parse_stat(text, &stat);
	if (r)
		return r;
	process->started = stat.started;
	memcpy(process->name, stat.name, sizeof(process->name));
	return 0;
}

static int read_executable(int directory, struct process *process)
{
	char path[PATH_MAX];
	ssize_t size = readlinkat(directory, "exe", path, sizeof(path) - 1);
	char *deleted;

	if (size <= 0 || path[0] != '/')
		return 0;
	path[size] = 0;
	deleted = size > (ssize_t)strlen(DELETED) ? path + size - strlen(DELETED) : NULL;
	if (deleted && !strcmp(deleted, DELETED))
		*deleted = 0;
	process->executable = strdup(path);
	return process->executable ? 0 : -ENOMEM;
}

static int read_unit(struct process *process)
{
	_cleanup_free_ char *cgroup = NULL;
	int r = sd_pid_get_unit(process->pid, &process->unit);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		process->unit = strdup("");
	if (sd_pid_get_cgroup(process->pid, &cgroup) >= 0)
		process->user_unit = proc_find_user_unit(cgroup, process->uid);
	return process->unit ? 0 : -ENOMEM;
}

static int read_all(struct process *process)
{
	_cleanup_close_ int directory = -1;
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d", process->pid);
	directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	r = read_status(directory, process);
	if (!r)
		r = read_stat(directory, process);
	if (!r)
		r = read_executable(directory, process);
	return r ? r : read_unit(process);
}

int process_open(pid_t pid, struct process *ret, struct refusal *refusal)
{
	_cleanup_(process_close) struct process process = PROCESS_NULL;
	int r;

	process.pid = pid;
	process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process.pidfd < 0) {
		if (errno == ESRCH)
			return PROCESS_GONE;
		return refuse(refusal, errno, "process %d cannot be opened (pidfd_open: %s)%s", pid,
			errno_name(errno),
			errno == EMFILE ? "; no free descriptor is left, raise LimitNOFILE=" : "");
	}
	r = read_all(&process);
	if (r == -ENOMEM)
		return r;
	if (!process_is_alive(&process))
		return PROCESS_GONE;
	if (r < 0)
		return refuse(refusal, -r,
			"process %d cannot be examined in /proc (%s); run as root, and with /proc mounted without hidepid=",
			pid, errno_name(-r));
	*ret = process;
	process = PROCESS_NULL;
	return 0;
}

void process_close(struct process *process)
{
	closep(&process->pidfd);
	free(process->groups);
	free(process->unit);
	free(process->user_unit);
	free(process->executable);
	*process = PROCESS_NULL;
}

int process_copy(const struct process *process, struct process *ret)
{
	_cleanup_(process_close) struct process copy = *process;

	copy.pidfd = -1;
	copy.groups = calloc(process->n_groups + 1, sizeof(*copy.groups));
	copy.unit = strdup(process->unit);
	copy.user_unit = process->user_unit ? strdup(process->user_unit) : NULL;
	copy.executable = process->executable ? strdup(process->executable) : NULL;
	if (!copy.groups || !copy.unit || !copy.user_unit != !process->user_unit ||
		!copy.executable != !process->executable)
		return -ENOMEM;
	if (process->n_groups)
		memcpy(copy.groups, process->groups, process->n_groups * sizeof(*copy.groups));
	*ret = copy;
	copy = PROCESS_NULL;
	return 0;
}

bool process_is_alive(const struct process *process)
{
	return pidfd_is_alive(process->pidfd);
}

struct identity process_identity(const struct process *process)
{
	return (struct identity){
		.uid = process->uid,
		.gid = process->gid,
		.groups = process->groups,
		.n_groups = process->n_groups,
		.pid = process->pid,
		.unit = process->unit,
		.user_unit = process->user_unit,
		.verified = true,
	};
}
