/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * $LISTEN_FDS, $LISTEN_PID, $LISTEN_FDNAMES: descriptors passed from one program to the next, as in sd_listen_fds(3)
 *
 * Not taken from libsystemd: the library sets O_CLOEXEC and clears the environment, but the next program must find both
 * as they were.
 */

#include <stddef.h>

#include "../util/error.h"

#define LISTEN_FIRST 3 /* SD_LISTEN_FDS_START */

struct listening {
	size_t n;	   /* descriptors LISTEN_FIRST to LISTEN_FIRST + n - 1, all of them open */
	const char *names; /* n names separated by colons, borrowed from the environment; NULL: none */
};

/* Outcome of listen_read() besides 0 and REFUSED */
enum {
	LISTEN_NONE = 2, /* nothing was passed to this process; the refusal says why */
};

/* listen_read() - look at the environment; Return: 0, REFUSED (EINVAL, EBADF) or LISTEN_NONE */
int listen_read(struct listening *ret, struct refusal *refusal);

/*
 * listen_append() - pass descriptors to the program that is executed next, after those that were passed to this one
 * @fds:   @n descriptors; each that is moved to its place becomes -1
 * @names: @n names separated by colons
 *
 * Closes whatever else is open at the new places. Return: 0, REFUSED, or -ENOMEM.
 */
int listen_append(int *fds, size_t n, const char *names, struct refusal *refusal);
