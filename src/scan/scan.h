/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which sockets of legacy daemons stand for which names
 *
 * A scan asks for the sockets that [Discover] of any rule describes (diag.h), who has them open (openers.h), whether he
 * may own them (access_check_owner()), and takes a duplicate (fetch.h). Each socket that a Socket= describes becomes a
 * candidate, accepted or refused with a reason.
 *
 * A socket is somebody's when he has it open and he, or root, made it: what a stranger made and passed on is refused.
 * Of several processes that have it open, the oldest that may own it counts, and process 1 last.
 *
 * Several candidates of one (name, protocol, family) are accepted together when they are one SO_REUSEPORT group, of one
 * user, bound alike; otherwise all of them are refused. Refused candidates (a stranger's socket) do not count here. Of a
 * group, the first SCAN_GROUP_MAX are accepted: one is enough for the kernel to spread over all of it.
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
	/* pid 0 when nobody was found or could be seen; also for most refused ones, then without a pidfd */
	struct process owner;
	int fd; /* a duplicate of the socket when accepted (to be taken with TAKE_FD), else -1 */
	bool accepted;
	/* when not; the text starts with a verb, for "socket 127.0.0.2:80 of NAME (pid 5) " in front */
	struct refusal refusal;
	bool handed_in, kept; /* what deliver_candidates() made of it; kept: it was handed in before */
};

struct scan_candidates {
	struct scan_candidate *items; /* sorted by rule name, protocol, family, port, address, cookie */
	size_t n;
	size_t n_left_out; /* refused ones behind the first SCAN_REFUSED_MAX of a rule: strangers can make many */
};

#define SCAN_GROUP_MAX 64U
#define SCAN_REFUSED_MAX 256U

void scan_candidates_deinit(struct scan_candidates *candidates);

struct scan {
	const struct rule_set *rules;
	const struct access_table *access;
	uint64_t netns_cookie; /* SO_NETNS_COOKIE of the namespace served: this process's */
	const char *name;      /* only this rule; NULL for all */
	uint8_t protocol;      /* only sockets of this protocol; 0 for both */
	uint16_t port; /* of rules with a Socket= of this port and protocol, all sockets; 0 for all rules */
	pid_t broker;  /* usherd, or 0: what it holds for others is not its own */
	pid_t pid; /* who has probably got it: looked at first, and alone when that settles every candidate */
};

/*
 * scan_run() - Return: 0, REFUSED (sock_diag does not answer), or a negative errno
 *
 * Races with processes that end, re-use descriptors, or sockets that close are looked at again, a few times, and are a
 * refusal of that candidate at last.
 */
int scan_run(const struct scan *scan, struct scan_candidates *ret, struct refusal *refusal);
