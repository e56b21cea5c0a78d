/* SPDX-License-Identifier: BSD-3-Clause */
#include "inode_index.h"

#include <errno.h>
#include <stdlib.h>

#include "../util/array.h"

static int compare_sockets(const void *a, const void *b)
{
	const struct indexed_inode *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static int compare_openers(const void *a, const void *b)
{
	const struct opener *x = a, *y = b;

	if (x->socket != y->socket)
		return x->socket < y->socket ? -1 : 1;
	return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid) : x->fd - y->fd;
}

int inode_index_init(struct inode_index *index, const struct diag_socket *sockets, size_t n)
{
	*index = (struct inode_index){.sockets = calloc(n + 1, sizeof(*index->sockets))};
	if (!index->sockets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (sockets[i].inode)
			index->sockets[index->n++] =
				(struct indexed_inode){.inode = sockets[i].inode, .socket = i};
	qsort(index->sockets, index->n, sizeof(*index->sockets), compare_sockets);
	return 0;
}

void inode_index_deinit(struct inode_index *index)
{
	free(index->sockets);
	openers_deinit(&index->openers);
}

static int append_opener(struct inode_index *index, size_t socket, pid_t pid, int fd)
{
	struct openers *openers = &index->openers;

	if (ARRAY_RESERVE(openers->items, openers->n) < 0)
		return -ENOMEM;
	openers->items[openers->n++] = (struct opener){.socket = socket, .pid = pid, .fd = fd};
	return 0;
}

int inode_index_add(struct inode_index *index, uint32_t inode, pid_t pid, int fd)
{
	struct indexed_inode key = {.inode = inode}, *end = index->sockets + index->n;
	struct indexed_inode *at = bsearch(&key, index->sockets, index->n, sizeof(key), compare_sockets);
	int r = 0;

	/* inode numbers have 32 bits and wrap around: two sockets can have the same one */
	while (at && at > index->sockets && at[-1].inode == inode)
		at--;
	for (; at && !r && at < end && at->inode == inode; at++)
		if (at->n_found++ < OPENERS_PER_SOCKET)
			r = append_opener(index, at->socket, pid, fd);
	return r;
}

void inode_index_take(struct inode_index *index, struct openers *ret)
{
	if (index->openers.n)
		qsort(index->openers.items, index->openers.n, sizeof(*index->openers.items), compare_openers);
	*ret = index->openers;
	index->openers = (struct openers){.n = 0};
}
