/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The process for which sockets are handed in when it is not the sender; a pidfd among the descriptors names it */

#include "../access/identity.h"
#include "../util/error.h"

struct owner {
	struct identity identity; /* verified; borrows from below */
	int pidfd;
	gid_t *groups;
	char *unit, *user_unit;
};

#define OWNER_NULL ((struct owner){.pidfd = -1})

/*
 * owner_take() - turn a pidfd into the identity of its process: effective uid and gid, groups, unit
 * @fd: taken if it is a pidfd, left alone if not
 *
 * Reads /proc/PID first and then checks that the process still lives: only then was /proc about this process, and not
 * about another one with the same number. Needs no privilege.
 *
 * Refused: not a pidfd (EINVAL), a pidfd of a thread (EINVAL), a process that has ended or is not visible here (ESRCH).
 * Return: 0, REFUSED, or a negative errno.
 */
int owner_take(int *fd, struct owner *ret, struct refusal *refusal);
void owner_deinit(struct owner *owner);
