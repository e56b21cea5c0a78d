/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Whose a socket is: of the processes that have it open, the one that may own it */

#include "../access/access.h"
#include "openers.h"
#include "process.h"

/* The processes that were looked at, each once in a scan. They are not held: what is accepted is looked at again. */
struct owners {
	const struct access_table *access;
	pid_t broker; /* never an owner, as this process is not */
	struct process **processes;
	size_t n;
};

void owners_deinit(struct owners *owners);

/* Outcome of owner_choose() besides 0 and REFUSED */
enum {
	OWNER_NONE = 2, /* nobody has it open any more, of those that had */
};

/*
 * owner_choose() - the oldest process that may own the socket for the rule, process 1 last
 * @openers: of this socket, sorted by pid
 * @ret:     borrowed, without pidfd; on REFUSED the oldest that may not, or NULL when none can be looked at
 *
 * Return: 0, OWNER_NONE, REFUSED (text as in scan.h), or -ENOMEM.
 */
int owner_choose(struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct opener *openers, size_t n, const struct process **ret, struct refusal *refusal);

/* owner_check() - may this process own it? Return: 0 or REFUSED. */
int owner_check(const struct owners *owners, const struct rule *rule, const struct diag_socket *socket,
	const struct process *process, struct refusal *refusal);
