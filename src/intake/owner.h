/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The process that sockets are handed in for, when it is not the sender: told by a pidfd among the descriptors. */

#include "../access/identity.h"
#include "../util/error.h"

struct owner {
	struct identity identity; /* verified; borrows from below */
	int pidfd;
	gid_t *groups;
	char *unit;
};

#define OWNER_NULL ((struct owner){.pidfd = -1})

/*
 * owner_take() - turn a pidfd into the identity of its process: effective uid and gid, groups, unit
 * @fd: taken if it is a pidfd, left alone if not
 *
 * What /proc says of a number is read first, then whether the process is still alive: only then was it about that one.
 * Needs no privilege.
 *
 * Refused: not a pidfd (EINVAL), a pidfd of a thread (EINVAL), a process that has ended or that cannot be seen from here
 * (ESRCH). Return: 0, REFUSED, or a negative errno.
 */
int owner_take(int *fd, struct owner *ret, struct refusal *refusal);
void owner_deinit(struct owner *owner);
