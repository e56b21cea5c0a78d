/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The owner of a socket: of the processes that have it open, the one that may own it */

#include "../access/access.h"
#include "openers.h"
#include "process.h"

/* The processes seen in a scan, each read once. No pidfd is kept: an accepted process is examined again. */
struct owners {
	const struct access_table *access;
	pid_t broker; /* never an owner; neither is this process, nor its kin */
	const pid_t *kin;
	size_t n_kin;
	struct process **processes;
	size_t n;
};

void owners_deinit(struct owners *owners);

/* Outcome of owner_choose() besides 0 and REFUSED */
enum {
	OWNER_NONE = 2, /* none of the openers has it open any more */
};

/*
 * owner_choose() - the oldest process that may own the socket for the rule, process 1 last
 * @openers: of this socket, sorted by pid
 * @ret:     borrowed, without pidfd; on REFUSED the oldest that may not own it, or NULL if none can be examined
 *
 * Return: 0, OWNER_NONE, REFUSED (text as in scan.h), or -ENOMEM.
 */
int owner_choose(struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct opener *openers, size_t n, const struct process **ret, struct refusal *refusal);

/* owner_check() - may this process own it? Return: 0 or REFUSED. */
int owner_check(const struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct process *process, struct refusal *refusal);
