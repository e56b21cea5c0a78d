/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a client of peers.py does to a service for a while, and what came of it */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct load {
	struct sockaddr_in target;
	uint64_t duration;  /* ns */
	unsigned at_once;   /* how many connections or requests are under way at any time */
	uint32_t source;    /* of requests: the first address to send from, in host order */
	uint32_t n_sources; /* and how many there are; 0 for one flow, from the client's own */
};

struct outcome {
	uint64_t done, failed; /* connections, requests, or bytes of a stream */
	uint64_t duration;     /* ns */
	uint32_t *latencies;   /* ns, of each connection that is done; to be freed */
};

/*
 * Each goes on until load_is_over(), and returns 0, or -errno when there is nothing to measure.
 *
 * load_connections() - connect, send a byte, wait for one, reset; another one at once
 * load_requests() - send a datagram, wait for it to come back; another one at once
 * load_stream() - receive from one connection as fast as it comes
 */
int load_connections(const struct load *load, struct outcome *ret);
int load_requests(const struct load *load, struct outcome *ret);
int load_stream(const struct load *load, struct outcome *ret);

/* load_clock() - CLOCK_MONOTONIC in ns */
uint64_t load_clock(void);

/* load_is_over() - the time is over and something has come of it, or nothing for much longer */
bool load_is_over(const struct load *load, const struct outcome *outcome, uint64_t elapsed);
