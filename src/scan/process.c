/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>

#include "../util/array.h"
#include "../util/errno_name.h"
#include "../util/pidfd.h"
#include "../util/text.h"

#define FILE_MAX (2U * 1024U * 1024U) /* a process may have 65536 groups of up to 10 digits */
#define DELETED " (deleted)"
#define FIELD_STARTED 22

/* The text of a file in /proc, of which stat(2) does not give the size. */
static int read_text(int directory, const char *name, char **ret)
{
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t size = 0, room = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (size + 1 >= room) {
			char *larger;

			room = room ? 2 * room : 4096;
			larger = room <= FILE_MAX ? realloc(text, room) : NULL;
			if (!larger)
				return room <= FILE_MAX ? -ENOMEM : -EFBIG;
			text = larger;
		}
		n = read(fd, text + size, room - size - 1);
		if (n < 0)
			return -errno;
		if (!n)
			break;
		size += (size_t)n;
	}
	text[size] = 0;
	*ret = TAKE_PTR(text);
	return 0;
}

/* What follows "Key:\t" at the start of a line. The kernel escapes line feeds in Name, the only free text. */
static const char *find_line(const char *status, const char *key)
{
	size_t length = strlen(key);

	while (status && strncmp(status, key, length)) {
		status = strchr(status, '\n');
		status = status ? status + 1 : NULL;
	}
	return status ? status + length : NULL;
}

/* The effective id, the second of the four: real, effective, saved, file system. */
static int read_effective(const char *status, const char *key, unsigned *ret)
{
	const char *line = find_line(status, key);

	return line && sscanf(line, "%*u %u", ret) == 1 ? 0 : -EBADMSG;
}

static int read_groups(const char *status, struct process *process)
{
	const char *line = find_line(status, "Groups:");

	if (!line)
		return -EBADMSG;
	for (;;) {
		unsigned long group;
		char *end;

		while (*line == ' ' || *line == '\t')
			line++;
		if (*line < '0' || *line > '9')
			return 0;
		group = strtoul(line, &end, 10);
		if (ARRAY_RESERVE(process->groups, process->n_groups) < 0)
			return -ENOMEM;
		process->groups[process->n_groups++] = (gid_t)group;
		line = end;
	}
}

static int read_status(int directory, struct process *process)
{
	_cleanup_free_ char *status = NULL;
	int r = read_text(directory, "status", &status);

	if (!r)
		r = read_effective(status, "Uid:", &process->uid);
	if (!r)
		r = read_effective(status, "Gid:", &process->gid);
	return r ? r : read_groups(status, process);
}

/* "5 (name) S 1 …": the name may contain anything, even ')'. */
static int read_stat(int directory, struct process *process)
{
	_cleanup_free_ char *stat = NULL;
	int r = read_text(directory, "stat", &stat);
	const char *first, *last, *field;

	if (r < 0)
		return r;
	first = strchr(stat, '(');
	last = strrchr(stat, ')');
	if (!first || !last)
		return -EBADMSG;
	(void)snprintf(process->name, sizeof(process->name), "%.*s", (int)(last - first - 1), first + 1);
	text_make_printable(process->name);
	field = last;
	for (int i = 2; field && i < FIELD_STARTED; i++)
		field = strchr(field + 1, ' ');
	return field && sscanf(field, "%" SCNu64, &process->started) == 1 ? 0 : -EBADMSG;
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
	int r = sd_pid_get_unit(process->pid, &process->unit);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		process->unit = strdup("");
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
	free(process->executable);
	*process = PROCESS_NULL;
}

int process_copy(const struct process *process, struct process *ret)
{
	_cleanup_(process_close) struct process copy = *process;

	copy.pidfd = -1;
	copy.groups = calloc(process->n_groups + 1, sizeof(*copy.groups));
	copy.unit = strdup(process->unit);
	copy.executable = process->executable ? strdup(process->executable) : NULL;
	if (!copy.groups || !copy.unit || !copy.executable != !process->executable)
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
		.verified = true,
	};
}
