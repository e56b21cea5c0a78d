/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The load that a client of peers.py puts on a service for a while, and the outcome */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct load {
	struct sockaddr_in target;
	uint64_t duration;  /* ns */
	unsigned at_once;   /* connections or requests in flight at any time */
	uint32_t source;    /* of requests: the first address to send from, in host order */
	uint32_t n_sources; /* the number of source addresses; 0: one flow, from the client's own address */
};

struct outcome {
	uint64_t done, failed; /* connections, requests, or bytes of a stream */
	uint64_t duration;     /* ns */
	uint32_t *latencies;   /* ns, of each completed connection; to be freed */
};

/*
 * Each continues until load_is_over(), and returns 0, or -errno if there is nothing to measure.
 *
 * load_connections() - connect, send a byte, wait for one, reset; and start another one at once
 * load_requests() - send a datagram, wait for it to come back; and send another one at once
 * load_stream() - receive from one connection as fast as it comes
 */
int load_connections(const struct load *load, struct outcome *ret);
int load_requests(const struct load *load, struct outcome *ret);
int load_stream(const struct load *load, struct outcome *ret);

/* load_clock() - CLOCK_MONOTONIC in ns */
uint64_t load_clock(void);

/* load_is_over() - the time is over with a result, or has been for long without one */
bool load_is_over(const struct load *load, const struct outcome *outcome, uint64_t elapsed);
