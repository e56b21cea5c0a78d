/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Finds the sockets of legacy daemons that [Discover] describes, and the names that they belong to
 *
 * A scan lists the sockets that [Discover] of any rule describes (diag.h), finds the processes that have them open
 * (openers.h), checks whether these may own them (access_check_owner()), and takes a duplicate (fetch.h). Each socket
 * that a Socket= describes becomes a candidate, which is accepted, or refused with a reason.
 *
 * The owner of a socket is a process that has it open, if the user of that process or root created the socket. A
 * socket that another user created and passed on is refused. If several processes have it open, the owner is the
 * oldest that may own it; process 1 comes last.
 *
 * Several candidates of one (name, protocol, family) are accepted together if they are one SO_REUSEPORT group of one
 * user, bound alike; otherwise all of them are refused. Candidates that were refused before, such as those of
 * strangers, do not count. Of a group, the first SCAN_GROUP_MAX are accepted: one is enough for the kernel to spread
 * over all of it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../access/access.h"
#include "../rule/rule.h"
#include "diag.h"
#include "process.h"

struct scan_candidate {
	const struct rule *rule; /* borrowed from the set */
	struct diag_socket socket;
	/* pid 0 if no process was found or visible. Most refused candidates have one too, without a pidfd. */
	struct process owner;
	int fd; /* if accepted, a duplicate of the socket, to be taken with TAKE_FD; otherwise -1 */
	bool accepted;
	/* if not accepted; the text starts with a verb, to follow "socket 127.0.0.2:80 of NAME (pid 5) " */
	struct refusal refusal;
	bool handed_in, kept; /* set by deliver_candidates(); kept: it was handed in before */
};

struct scan_candidates {
	struct scan_candidate *items; /* sorted by rule name, protocol, family, port, address, cookie */
	size_t n;
	size_t n_left_out; /* refused ones after the first SCAN_REFUSED_MAX of a rule: strangers can make many */
};

#define SCAN_GROUP_MAX 64U
#define SCAN_REFUSED_MAX 256U

void scan_candidates_deinit(struct scan_candidates *candidates);

struct scan {
	const struct rule_set *rules;
	const struct access_table *access;
	uint64_t netns_cookie; /* SO_NETNS_COOKIE of the served namespace, which is that of this process */
	const char *name;      /* only this rule; NULL for all */
	uint8_t protocol;      /* only sockets of this protocol; 0 for both */
	uint16_t
		port; /* only rules with a Socket= of this port and protocol, but all their sockets; 0 for all rules */
	pid_t broker; /* usherd, which never owns the sockets that it holds; 0: not known */
	const pid_t *kin; /* other processes that scan for this one, which never own their duplicates */
	size_t n_kin;
	pid_t pid; /* the probable owner: examined first, and alone if that settles every candidate; 0: none */
};

/*
 * scan_run() - Return: 0, REFUSED (sock_diag does not answer), or a negative errno
 *
 * When a process ends, a descriptor is reused or a socket closes during a scan, the scan is repeated a few times. After
 * that, the candidate is refused.
 */
int scan_run(const struct scan *scan, struct scan_candidates *ret, struct refusal *refusal);
