/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Hands in what a scan found, over the same socket as every other client */

#include "../lib/client.h"
#include "scan.h"

/*
 * How many sockets of one SO_REUSEPORT group are handed in. The kernel spreads connections over the whole group,
 * whichever member is selected. A second member takes over when the first one closes, and the broker reports that
 * (docs/protocol.md, monitor).
 */
#define DELIVER_GROUP_MAX 2U

/* Outcome of deliver_candidates() besides 0 and REFUSED */
enum {
	DELIVER_ABSENT = 2, /* the connection to the broker was lost; the refusal says how */
};

/*
 * deliver_candidates() - hand in the accepted candidates
 * @client: open
 *
 * Sockets of one name, protocol, family and owner go into one request, so that a refusal concerns only these. Sets
 * `handed_in` and `kept`, or clears `accepted` and fills the refusal. Closes the descriptors in any case.
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
 * deliver_evict() - ask the broker to take a socket out of `early` at once (Listen=kernel)
 *
 * Return: 0, REFUSED or DELIVER_ABSENT.
 */
int deliver_evict(struct client *client, const char *name, uint64_t cookie, const char *reason,
	struct refusal *refusal);
