/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Handing in what a scan found, over the same socket as every other client */

#include "../lib/client.h"
#include "scan.h"

/*
 * Sockets of one SO_REUSEPORT group that are handed in. The kernel spreads connections over the whole group whichever
 * member is selected; a second member takes over when the first one closes, and that is told (docs/protocol.md, monitor).
 */
#define DELIVER_GROUP_MAX 2U

/* Outcome of deliver_candidates() besides 0 and REFUSED */
enum {
	DELIVER_ABSENT = 2, /* the broker went away meanwhile; the refusal says how it showed */
};

/*
 * deliver_candidates() - hand in what was accepted, the sockets of one name, protocol, family and owner in one request
 *
 * So that what the broker refuses of one family does not take the others with it.
 *
 * @client: open
 *
 * Sets `handed_in` and `kept`, or takes `accepted` back and says why. Descriptors are closed one way or the other.
 *
 * Return: 0 or DELIVER_ABSENT.
 */
int deliver_candidates(struct client *client, struct scan_candidates *candidates, struct refusal *refusal);

/*
 * deliver_read_broker() - the pid of the broker, in this pid namespace
 *
 * Return: 0, REFUSED or DELIVER_ABSENT.
 */
int deliver_read_broker(struct client *client, pid_t *ret, struct refusal *refusal);

/*
 * deliver_evict() - have a socket taken out of `early` at once (Listen=kernel)
 *
 * Return: 0, REFUSED or DELIVER_ABSENT.
 */
int deliver_evict(struct client *client, const char *name, uint64_t cookie, const char *reason,
	struct refusal *refusal);
