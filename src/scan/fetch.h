/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Takes a duplicate of another process's socket. Only fetch.c calls pidfd_getfd(2). */

#include "diag.h"
#include "process.h"

/* Outcomes of fetch_dup() besides 0 and REFUSED */
enum {
	FETCH_CHANGED =
		2, /* the descriptor is closed or another socket now, or the process has ended: look again */
};

/*
 * fetch_dup() - duplicate descriptor @fd of a process, if it is the socket of the dump
 *
 * Pids, descriptor numbers and inodes can all be reused after a dump. The cookie of a socket cannot, so it is compared
 * after the duplicate is taken.
 *
 * Refused: the kernel does not permit it (EPERM: the text says what is needed), MPTCP, another network namespace. The
 * text starts with a verb, as in scan.h. Return: 0, FETCH_CHANGED, or REFUSED.
 */
int fetch_dup(const struct process *process, int fd, const struct diag_socket *socket, uint64_t netns_cookie,
	int *ret, struct refusal *refusal);

/* fetch_refuse_mptcp() - for a socket that the dump shows to be MPTCP. Return: REFUSED. */
int fetch_refuse_mptcp(struct refusal *refusal);
