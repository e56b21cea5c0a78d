/* SPDX-License-Identifier: BSD-3-Clause */
#include "holders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"

#define ENTRIES_BYTES 32768
#define SOCKET_LINK "socket:["

struct sought {
	uint32_t inode;
	uint32_t n; /* times found */
	size_t socket;
};

struct search {
	struct sought *sought; /* sorted by inode */
	size_t n_sought;
	struct holders *holders;
	size_t n_allocated;
	char entries[ENTRIES_BYTES];
};

static holders_function *other_way;

void holders_use(holders_function *function)
{
	other_way = function;
}

void holders_deinit(struct holders *holders)
{
	free(holders->items);
	*holders = (struct holders){.n = 0};
}

/* Digits to the end, or to @end: 0 when it is anything else; no pid and no inode is 0. */
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

static int compare_sought(const void *a, const void *b)
{
	const struct sought *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static int compare_holders(const void *a, const void *b)
{
	const struct holder_fd *x = a, *y = b;

	if (x->socket != y->socket)
		return x->socket < y->socket ? -1 : 1;
	return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid) : x->fd - y->fd;
}

static int add(struct search *search, size_t socket, pid_t pid, int fd)
{
	struct holders *holders = search->holders;

	if (holders->n == search->n_allocated) {
		size_t n = search->n_allocated ? 2 * search->n_allocated : 16;
		struct holder_fd *items = reallocarray(holders->items, n, sizeof(*items));

		if (!items)
			return -ENOMEM;
		holders->items = items;
		search->n_allocated = n;
	}
	holders->items[holders->n++] = (struct holder_fd){.socket = socket, .pid = pid, .fd = fd};
	return 0;
}

static int found(struct search *search, uint32_t inode, pid_t pid, int fd)
{
	struct sought key = {.inode = inode}, *end = search->sought + search->n_sought;
	struct sought *at = bsearch(&key, search->sought, search->n_sought, sizeof(key), compare_sought);
	int r = 0;

	/* the numbers of inodes are 32 bits that go round: two sockets can have the same */
	while (at && at > search->sought && at[-1].inode == inode)
		at--;
	for (; at && !r && at < end && at->inode == inode; at++)
		if (at->n++ < HOLDERS_PER_SOCKET)
			r = add(search, at->socket, pid, fd);
	return r;
}

/* One name in /proc/PID/fd. Return: 0, -EACCES or -EPERM when it cannot be read, or -ENOMEM. */
static int look_at_fd(struct search *search, int directory, pid_t pid, const char *name)
{
	char link[64]; /* a longer one is no socket */
	ssize_t size;

	if (*name == '.')
		return 0;
	size = readlinkat(directory, name, link, sizeof(link) - 1);
	if (size < 0)
		return errno == EACCES || errno == EPERM ? -errno : 0;
	link[size] = 0;
	if (strncmp(link, SOCKET_LINK, strlen(SOCKET_LINK)))
		return 0;
	return found(search, (uint32_t)parse_number(link + strlen(SOCKET_LINK), ']'), pid, atoi(name));
}

/* getdents64(2) itself: opendir(3) would allocate and free for each of thousands of processes. */
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
		search->holders->n_unreadable++;
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

static int make_search(const struct diag_socket *sockets, size_t n, struct search **ret)
{
	struct search *search = malloc(sizeof(*search));
	struct sought *sought = calloc(n + 1, sizeof(*sought));

	if (!search || !sought) {
		free(search);
		free(sought);
		return -ENOMEM;
	}
	search->sought = sought;
	search->n_sought = 0;
	search->n_allocated = 0;
	for (size_t i = 0; i < n; i++)
		if (sockets[i].inode)
			sought[search->n_sought++] = (struct sought){.inode = sockets[i].inode, .socket = i};
	qsort(sought, search->n_sought, sizeof(*sought), compare_sought);
	*ret = search;
	return 0;
}

int holders_find_proc(const struct diag_socket *sockets, size_t n, pid_t pid, struct holders *ret)
{
	_cleanup_(holders_deinit) struct holders holders = {.n = 0};
	_cleanup_free_ struct search *search = NULL;
	_cleanup_free_ struct sought *sought = NULL;
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? -errno : make_search(sockets, n, &search);

	if (r < 0)
		return r;
	sought = search->sought;
	search->holders = &holders;
	if (search->n_sought)
		r = pid ? look_at_process(search, proc, pid) : look_at_all(search, proc);
	if (r < 0)
		return r;
	if (holders.n)
		qsort(holders.items, holders.n, sizeof(*holders.items), compare_holders);
	*ret = holders;
	holders = (struct holders){.n = 0};
	return 0;
}

int holders_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct holders *ret)
{
	if (!n) {
		*ret = (struct holders){.n = 0};
		return 0;
	}
	if (other_way) {
		int r = other_way(sockets, n, pid, ret);

		if (!r || r == -ENOMEM)
			return r;
		if (r == HOLDERS_ABSENT)
			other_way = NULL;
	}
	return holders_find_proc(sockets, n, pid, ret);
}
