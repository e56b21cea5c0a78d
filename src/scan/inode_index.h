/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* An index of sockets by inode number, and the openers found so far: for both ways of openers.h */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "openers.h"

struct indexed_inode {
	uint32_t inode;
	uint32_t n_found;
	size_t socket; /* its index in the caller's array */
};

struct inode_index {
	struct indexed_inode *sockets; /* sorted by inode; without those that no process has open */
	size_t n;
	struct openers openers; /* as found, not sorted */
};

/* inode_index_init() - @index: to be released with inode_index_deinit() on any result; Return: 0 or -ENOMEM */
int inode_index_init(struct inode_index *index, const struct diag_socket *sockets, size_t n);
void inode_index_deinit(struct inode_index *index);

/*
 * inode_index_add() - a process has a socket of this inode open; ignores sockets not in the index. Return: 0 or
 * -ENOMEM
 */
int inode_index_add(struct inode_index *index, uint32_t inode, pid_t pid, int fd);

/* inode_index_take() - move the openers out, sorted */
void inode_index_take(struct inode_index *index, struct openers *ret);
