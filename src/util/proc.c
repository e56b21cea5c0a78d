/* SPDX-License-Identifier: BSD-3-Clause */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "macro.h"
#include "text.h"

#define FILE_MAX (2U * 1024U * 1024U) /* a process may have 65536 groups of up to 10 digits */
#define FIELD_STARTED 22

int proc_read(int directory, const char *name, char **ret)
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

/* What follows "Key:" at the start of a line. The kernel escapes line feeds in Name, the only free text. */
static const char *find_line(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && strncmp(text, key, length)) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + length : NULL;
}

/* The next number of a line. Return: what follows, or NULL and nothing in @ret. */
static const char *take_number(const char *text, int base, uint64_t max, uint64_t *ret)
{
	unsigned long long number;
	size_t length;

	text += strspn(text, " \t");
	/* strtoull(3) takes a sign and "0x" as well */
	length = strspn(text, base == 16 ? "0123456789abcdef" : "0123456789");
	if (!length || (text[length] && !strchr(" \t\n", text[length])))
		return NULL;
	errno = 0;
	number = strtoull(text, NULL, base);
	if (errno || number > max)
		return NULL;
	*ret = number;
	return text + length;
}

static int read_number(const char *text, const char *key, int base, uint64_t max, uint64_t *ret)
{
	const char *line = find_line(text, key);

	return line && take_number(line, base, max, ret) ? 0 : -EBADMSG;
}

/* The second of the four: real, effective, saved, file system. */
static int read_effective(const char *text, const char *key, uint32_t *ret)
{
	const char *line = find_line(text, key);
	uint64_t number = 0;

	if (line)
		line = take_number(line, 10, UINT32_MAX, &number);
	if (!line || !take_number(line, 10, UINT32_MAX, &number))
		return -EBADMSG;
	*ret = (uint32_t)number;
	return 0;
}

static int read_groups(const char *text, struct proc_status *status)
{
	const char *line = find_line(text, "Groups:");
	uint64_t group;

	if (!line)
		return -EBADMSG;
	while ((line = take_number(line, 10, UINT32_MAX, &group))) {
		if (ARRAY_RESERVE(status->groups, status->n_groups) < 0)
			return -ENOMEM;
		status->groups[status->n_groups++] = (gid_t)group;
	}
	return 0;
}

int proc_parse_status(const char *text, struct proc_status *ret)
{
	uint64_t group = 0;
	int r;

	*ret = (struct proc_status){.n_groups = 0};
	r = read_number(text, "Tgid:", 10, INT32_MAX, &group);
	ret->group = (pid_t)group;
	if (!r)
		r = read_effective(text, "Uid:", &ret->uid);
	if (!r)
		r = read_effective(text, "Gid:", &ret->gid);
	/* none when the line is missing */
	(void)read_number(text, "CapEff:", 16, UINT64_MAX, &ret->capabilities);
	return r ? r : read_groups(text, ret);
}

void proc_status_deinit(struct proc_status *status)
{
	free(status->groups);
	*status = (struct proc_status){.n_groups = 0};
}

/* "5 (name) S 1 …": the name may contain anything, even ')'. */
int proc_parse_stat(const char *text, struct proc_stat *ret)
{
	const char *first = strchr(text, '('), *last = strrchr(text, ')'), *field = last;

	if (!first || !last || last < first)
		return -EBADMSG;
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(last - first - 1), first + 1);
	text_make_printable(ret->name);
	for (int i = 2; field && i < FIELD_STARTED; i++)
		field = strchr(field + 1, ' ');
	return field && take_number(field, 10, UINT64_MAX, &ret->started) ? 0 : -EBADMSG;
}

bool proc_parse_pidfd(const char *text, pid_t *ret)
{
	const char *line = find_line(text, "Pid:");
	bool negative;
	uint64_t number;

	if (!line)
		return false;
	line += strspn(line, " \t");
	negative = *line == '-';
	if (!take_number(line + negative, 10, INT32_MAX, &number))
		return false;
	*ret = negative ? -(pid_t)number : (pid_t)number;
	return true;
}

/* The next part of a path that is no slice; its length is 0 at the end. */
static size_t next_part(const char **path, const char **ret)
{
	for (;;) {
		size_t length;

		*path += strspn(*path, "/");
		*ret = *path;
		length = strcspn(*path, "/");
		*path += length;
		if (length <= strlen(".slice") ||
			memcmp(*path - strlen(".slice"), ".slice", strlen(".slice")) != 0)
			return length;
	}
}

char *proc_find_user_unit(const char *cgroup, uid_t uid)
{
	char manager[64];
	const char *part;
	size_t length = next_part(&cgroup, &part);

	(void)snprintf(manager, sizeof(manager), "user@%u.service", uid);
	if (length != strlen(manager) || memcmp(part, manager, length) != 0)
		return NULL;
	length = next_part(&cgroup, &part);
	/* systemd puts it before names that could be taken for files of the kernel */
	if (length && *part == '_') {
		part++;
		length--;
	}
	return length ? strndup(part, length) : NULL;
}
