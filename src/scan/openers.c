/* SPDX-License-Identifier: BSD-3-Clause */
#include "openers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "inode_index.h"

#define ENTRIES_BYTES 32768
#define SOCKET_LINK "socket:["

struct search {
	struct inode_index *index;
	char entries[ENTRIES_BYTES];
};

static openers_function *other_way;

void openers_use(openers_function *function)
{
	other_way = function;
}

void openers_deinit(struct openers *openers)
{
	free(openers->items);
	*openers = (struct openers){.n = 0};
}

/* A number that fills the text, or ends at @end. 0 for anything else: no pid or inode is 0. */
static unsigned long parse_number(const char *text, char end)
{
	unsigned long number = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		number = number * 10 + (unsigned long)(*text - '0');
		if (number > UINT32_MAX)
			return 0;
	}
	return *text == end ? number : 0;
}

/* One name in /proc/PID/fd. Return: 0, -EACCES or -EPERM when it cannot be read, or -ENOMEM. */
static int look_at_fd(struct search *search, int directory, pid_t pid, const char *name)
{
	char link[64]; /* a longer link is not a socket */
	ssize_t size;

	if (*name == '.')
		return 0;
	size = readlinkat(directory, name, link, sizeof(link) - 1);
	if (size < 0)
		return errno == EACCES || errno == EPERM ? -errno : 0;
	link[size] = 0;
	if (strncmp(link, SOCKET_LINK, strlen(SOCKET_LINK)))
		return 0;
	return inode_index_add(
		search->index, (uint32_t)parse_number(link + strlen(SOCKET_LINK), ']'), pid, atoi(name));
}

/* getdents64(2), because opendir(3) would allocate and free for each of thousands of processes */
static int look_at_fds(struct search *search, int directory, pid_t pid)
{
	for (;;) {
		ssize_t size = getdents64(directory, search->entries, sizeof(search->entries));

		if (size <= 0)
			return size < 0 && (errno == EACCES || errno == EPERM) ? -errno : 0;
		for (ssize_t at = 0; at < size;) {
			const struct dirent64 *entry = (const void *)(search->entries + at);
			int r = look_at_fd(search, directory, pid, entry->d_name);

			if (r)
				return r;
			at += entry->d_reclen;
		}
	}
}

static int look_at_process(struct search *search, int proc, pid_t pid)
{
	_cleanup_close_ int directory = -1;
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "%d/fd", pid);
	directory = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		r = errno == EACCES || errno == EPERM ? -errno : 0;
	else
		r = look_at_fds(search, directory, pid);
	if (r == -EACCES || r == -EPERM)
		search->index->openers.n_unreadable++;
	return r == -ENOMEM ? r : 0;
}

static int look_at_all(struct search *search, int proc)
{
	_cleanup_free_ char *entries = malloc(ENTRIES_BYTES);

	if (!entries)
		return -ENOMEM;
	for (;;) {
		ssize_t size = getdents64(proc, entries, ENTRIES_BYTES);

		if (size <= 0)
			return size < 0 ? -errno : 0;
		for (ssize_t at = 0; at < size;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			pid_t pid = (pid_t)parse_number(entry->d_name, 0);
			int r = pid > 0 ? look_at_process(search, proc, pid) : 0;

			if (r < 0)
				return r;
			at += entry->d_reclen;
		}
	}
}

int openers_find_proc(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ struct search *search = malloc(sizeof(*search));
	_cleanup_(inode_index_deinit) struct inode_index index = {.n = 0};
	int r;

	if (proc < 0)
		return -errno;
	if (!search)
		return -ENOMEM;
	r = inode_index_init(&index, sockets, n);
	if (r < 0)
		return r;
	search->index = &index;
	if (index.n)
		r = pid ? look_at_process(search, proc, pid) : look_at_all(search, proc);
	if (r < 0)
		return r;
	inode_index_take(&index, ret);
	return 0;
}

int openers_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret)
{
	if (!n) {
		*ret = (struct openers){.n = 0};
		return 0;
	}
	if (other_way) {
		int r = other_way(sockets, n, pid, ret);

		if (!r || r == -ENOMEM)
			return r;
		if (r == OPENERS_ABSENT)
			other_way = NULL;
	}
	return openers_find_proc(sockets, n, pid, ret);
}
