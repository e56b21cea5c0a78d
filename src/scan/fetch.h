/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Taking a duplicate of another process's socket: fetch.c is the one file that calls pidfd_getfd(2). */

#include "diag.h"
#include "process.h"

/* Outcomes of fetch_dup() besides 0 and REFUSED */
enum {
	FETCH_CHANGED =
		2, /* the descriptor is another one now, or closed, or the process has ended: look again */
};

/*
 * fetch_dup() - duplicate descriptor @fd of a process, if it is the socket of the dump
 *
 * A pid, a number of a descriptor and an inode can all be used again between a dump and here. The cookie of a socket
 * cannot, and so it is compared after the duplicate is taken.
 *
 * Refused: the kernel does not let us (EPERM: who is asked, and what to do), MPTCP, another network namespace. The text
 * starts with a verb, as in scan.h. Return: 0, FETCH_CHANGED, or REFUSED.
 */
int fetch_dup(const struct process *process, int fd, const struct diag_socket *socket, uint64_t netns_cookie,
	int *ret, struct refusal *refusal);

/* fetch_refuse_mptcp() - for a socket that the dump already tells as one of MPTCP. Return: REFUSED. */
int fetch_refuse_mptcp(struct refusal *refusal);
