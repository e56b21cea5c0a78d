/* SPDX-License-Identifier: BSD-3-Clause */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"

struct holder {
	struct holder_entry *entries;
	size_t n;
};

struct holder *holder_new(void)
{
	return calloc(1, sizeof(struct holder));
}

struct holder *holder_free(struct holder *holder)
{
	if (!holder)
		return NULL;
	while (holder->n)
		(void)holder_drop(holder, holder->entries[0].name, holder->entries[0].cookie);
	free(holder->entries);
	free(holder);
	return NULL;
}

static size_t find(const struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = 0;

	while (i < holder->n &&
		(holder->entries[i].cookie != cookie || strcmp(holder->entries[i].name, name)))
		i++;
	return i;
}

int holder_dup(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid)
{
	_cleanup_free_ char *own_name = NULL;
	_cleanup_close_ int own = -1;
	struct holder_entry *entries;
	size_t i = find(holder, name, cookie);

	if (i < holder->n) {
		holder->entries[i].pid = pid;
		return 0;
	}
	own_name = strdup(name);
	if (!own_name)
		return -ENOMEM;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	entries = reallocarray(holder->entries, holder->n + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	holder->entries = entries;
	entries[holder->n++] = (struct holder_entry){
		.name = TAKE_PTR(own_name),
		.cookie = cookie,
		.fd = TAKE_FD(own),
		.pid = pid,
	};
	return 0;
}

bool holder_drop(struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = find(holder, name, cookie);

	if (i == holder->n)
		return false;
	free((char *)holder->entries[i].name);
	closep(&holder->entries[i].fd);
	memmove(&holder->entries[i], &holder->entries[i + 1], (--holder->n - i) * sizeof(*holder->entries));
	return true;
}

const struct holder_entry *holder_find(const struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = find(holder, name, cookie);

	return i < holder->n ? &holder->entries[i] : NULL;
}

const struct holder_entry *holder_get(const struct holder *holder, size_t index)
{
	return &holder->entries[index];
}

size_t holder_count(const struct holder *holder)
{
	return holder->n;
}

void holder_adopt(struct holder *holder, size_t index, pid_t pid)
{
	holder->entries[index].pid = pid;
}

void holder_orphan(struct holder *holder, pid_t pid)
{
	for (size_t i = 0; i < holder->n; i++)
		if (holder->entries[i].pid == pid)
			holder->entries[i].pid = 0;
}
