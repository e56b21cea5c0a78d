/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which sockets of legacy daemons stand for which names
 *
 * A scan asks for the sockets that [Discover] of any rule describes (diag.h), who has them open (holders.h), whether he
 * may own them (access_check_owner()), and takes a duplicate (fetch.h). Each socket that a Socket= describes becomes a
 * candidate, accepted or refused with a reason.
 *
 * A socket is somebody's when he has it open and he, or root, made it: what a stranger made and passed on is refused.
 * Of several processes that have it open, the oldest that may own it counts, and process 1 last.
 *
 * Several candidates of one (name, protocol, family) are accepted together when they are one SO_REUSEPORT group, of one
 * user, bound alike; otherwise all of them are refused. Refused candidates (a stranger's socket) do not count here.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../access/access.h"
#include "../rule/rule.h"
#include "diag.h"
#include "process.h"

struct candidate {
	const struct rule *rule; /* borrowed from the set */
	struct diag_socket socket;
	struct process owner; /* pid 0 when nobody was found or could be seen; else also for most refused ones */
	int fd;		      /* a duplicate of the socket when accepted (to be taken with TAKE_FD), else -1 */
	bool accepted;
	struct refusal refusal; /* when not; the text starts with a verb, for "socket 127.0.0.2:80 of NAME (pid 5) " in front */
};

struct candidates {
	struct candidate *items; /* sorted by rule name, protocol, family, address, port, cookie */
	size_t n;
};

void candidates_deinit(struct candidates *candidates);

struct scan {
	const struct rule_set *rules;
	const struct access_table *access;
	uint64_t netns_cookie; /* SO_NETNS_COOKIE of the namespace served: this process's */
	const char *name;      /* only this rule; NULL for all */
	uint8_t protocol;      /* only this protocol and, when it is not 0, this port; 0 for all */
	uint16_t port;
	pid_t pid; /* who has probably got it: looked at first, and alone when that settles every candidate */
};

/*
 * scan_run() - Return: 0, REFUSED (sock_diag does not answer), or a negative errno
 *
 * Races with processes that end, re-use descriptors, or sockets that close are looked at again, a few times, and are a
 * refusal of that candidate at last.
 */
int scan_run(const struct scan *scan, struct candidates *ret, struct refusal *refusal);

/* scan_wants() - whether any [Discover] describes a socket of this protocol on this port */
bool scan_wants(const struct rule_set *rules, uint8_t protocol, uint16_t port);
