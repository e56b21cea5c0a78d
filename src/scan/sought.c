/* SPDX-License-Identifier: BSD-3-Clause */
#include "sought.h"

#include <errno.h>
#include <stdlib.h>

#include "../util/array.h"

static int compare_sockets(const void *a, const void *b)
{
	const struct sought_socket *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static int compare_holders(const void *a, const void *b)
{
	const struct holder_fd *x = a, *y = b;

	if (x->socket != y->socket)
		return x->socket < y->socket ? -1 : 1;
	return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid) : x->fd - y->fd;
}

int sought_init(struct sought *sought, const struct diag_socket *sockets, size_t n)
{
	*sought = (struct sought){.sockets = calloc(n + 1, sizeof(*sought->sockets))};
	if (!sought->sockets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (sockets[i].inode)
			sought->sockets[sought->n++] =
				(struct sought_socket){.inode = sockets[i].inode, .socket = i};
	qsort(sought->sockets, sought->n, sizeof(*sought->sockets), compare_sockets);
	return 0;
}

void sought_deinit(struct sought *sought)
{
	free(sought->sockets);
	holders_deinit(&sought->holders);
}

static int append(struct sought *sought, size_t socket, pid_t pid, int fd)
{
	struct holders *holders = &sought->holders;

	if (ARRAY_RESERVE(holders->items, holders->n) < 0)
		return -ENOMEM;
	holders->items[holders->n++] = (struct holder_fd){.socket = socket, .pid = pid, .fd = fd};
	return 0;
}

int sought_add(struct sought *sought, uint32_t inode, pid_t pid, int fd)
{
	struct sought_socket key = {.inode = inode}, *end = sought->sockets + sought->n;
	struct sought_socket *at = bsearch(&key, sought->sockets, sought->n, sizeof(key), compare_sockets);
	int r = 0;

	/* the numbers of inodes are 32 bits that go round: two sockets can have the same */
	while (at && at > sought->sockets && at[-1].inode == inode)
		at--;
	for (; at && !r && at < end && at->inode == inode; at++)
		if (at->n_found++ < HOLDERS_PER_SOCKET)
			r = append(sought, at->socket, pid, fd);
	return r;
}

void sought_take(struct sought *sought, struct holders *ret)
{
	if (sought->holders.n)
		qsort(sought->holders.items, sought->holders.n, sizeof(*sought->holders.items),
			compare_holders);
	*ret = sought->holders;
	sought->holders = (struct holders){.n = 0};
}
