/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Clients that have connected and have not been let in
 *
 * Several are accepted at a time, so that the backlog does not fill faster than it is emptied: a full one makes clients wait
 * that do not mind, and others get EAGAIN. They are let in by turns, one of each user: a user that connects without end
 * delays nobody for more than one of its clients.
 */

#include <stdbool.h>

#include "subuids.h"

#define ARRIVALS_MAX 64U

struct arrival {
	int fd;
	uid_t uid;
	uid_t owner;   /* subuids_owner() */
	unsigned turn; /* how many of the same owner come before it */
	bool has_left; /* it has hung up, and left nothing to read */
};

struct arrivals {
	struct arrival items
		[ARRIVALS_MAX]; /* in the order in which to let them in; the descriptors are the caller's */
	size_t n;
	int error; /* why no more were accepted: EAGAIN when there are none; 0 when there may be more */
};

/* arrivals_accept() - from a listening socket that does not block */
void arrivals_accept(int socket, const struct subuids *subuids, struct arrivals *ret);
