/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets that are sought, by inode number, and who was found to have them: for both ways of holders.h. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "openers.h"

struct sought_socket {
	uint32_t inode;
	uint32_t n_found;
	size_t socket; /* its number in the caller's array */
};

struct sought {
	struct sought_socket *sockets; /* sorted by inode; without those that nobody has open */
	size_t n;
	struct holders holders; /* as found, not sorted */
};

/* sought_init() - Return: 0 or -ENOMEM; sought_deinit() is fine after either */
int sought_init(struct sought *sought, const struct diag_socket *sockets, size_t n);
void sought_deinit(struct sought *sought);

/* sought_add() - this process has a socket of this inode number open; fine for one that is not sought. 0 or -ENOMEM */
int sought_add(struct sought *sought, uint32_t inode, pid_t pid, int fd);

/* sought_take() - give what was found, sorted */
void sought_take(struct sought *sought, struct holders *ret);
