/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets that are index, by inode number, and who was found to have them: for both ways of openers.h. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "openers.h"

struct indexed_inode {
	uint32_t inode;
	uint32_t n_found;
	size_t socket; /* its number in the caller's array */
};

struct inode_index {
	struct indexed_inode *sockets; /* sorted by inode; without those that nobody has open */
	size_t n;
	struct openers openers; /* as found, not sorted */
};

/* inode_index_init() - Return: 0 or -ENOMEM; inode_index_deinit() is fine after either */
int inode_index_init(struct inode_index *index, const struct diag_socket *sockets, size_t n);
void inode_index_deinit(struct inode_index *index);

/* inode_index_add() - this process has a socket of this inode number open; fine for one that is not index. 0 or -ENOMEM */
int inode_index_add(struct inode_index *index, uint32_t inode, pid_t pid, int fd);

/* inode_index_take() - give what was found, sorted */
void inode_index_take(struct inode_index *index, struct openers *ret);
