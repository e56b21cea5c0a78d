/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The routing tables and the neighbours of this network namespace, from rtnetlink(7) */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/error.h"
#include "../../util/prefix.h"

struct route_entry {
	struct prefix prefix;
	uint8_t type, protocol; /* RTN_*, RTPROT_* */
	uint8_t gateway_family; /* 0: none */
	uint8_t gateway[16];
	uint32_t table, device; /* device 0: none */
};

struct neighbour {
	int family;
	uint8_t address[16];
	uint32_t device;
};

struct routing {
	struct route_entry *routes; /* one for each gateway */
	size_t n_routes;
	struct neighbour *neighbours; /* that have answered, or are set by hand */
	size_t n_neighbours;
};

#define ROUTING_NULL ((struct routing){})

/* routing_read() - of both families; @ret: to be released on any result. Return: 0, REFUSED or -ENOMEM. */
int routing_read(struct routing *ret, struct refusal *refusal);
void routing_deinit(struct routing *routing);

/* routing_lookup() - the route of one table to an address, or NULL */
const struct route_entry *routing_lookup(
	const struct routing *routing, uint32_t table, int family, const uint8_t *address);
