/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * $LISTEN_FDS, $LISTEN_PID, $LISTEN_FDNAMES: descriptors passed from one program to the next, as in sd_listen_fds(3)
 *
 * Written here and not taken from libsystemd because the library would set O_CLOEXEC and clear the environment, and the
 * next program is to find both as they were.
 */

#include <stddef.h>

#include "../util/error.h"

#define LISTEN_FIRST 3 /* SD_LISTEN_FDS_START */

struct listening {
	size_t n;	   /* descriptors LISTEN_FIRST to LISTEN_FIRST + n - 1, all of them open */
	const char *names; /* n names separated by colons, of the environment; NULL when there are none */
};

/* Outcome of listen_read() besides 0 and REFUSED */
enum {
	LISTEN_NONE = 2, /* nothing was passed to this process; the refusal says what made it so */
};

/* listen_read() - look at the environment; Return: 0, REFUSED (EINVAL, EBADF) or LISTEN_NONE */
int listen_read(struct listening *ret, struct refusal *refusal);

/*
 * listen_append() - pass descriptors to the program that is executed next, behind those that were passed to this one
 * @fds:   @n descriptors; those that have been moved to their places are -1 afterwards
 * @names: @n names separated by colons
 *
 * What else is open at the places needed is closed. Return: 0, REFUSED, or -ENOMEM.
 */
int listen_append(int *fds, size_t n, const char *names, struct refusal *refusal);
