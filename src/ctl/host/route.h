/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the routes of this network namespace say of an address: rtnetlink(7), asked through libmnl
 *
 * Needs no privilege. The answer is the one for packets without a mark that enter by any interface: `ip rule` can have
 * it otherwise.
 */

#include <stdint.h>

#include "../../util/error.h"

enum route {
	ROUTE_UNKNOWN,
	ROUTE_LOCAL,	 /* packets to it are this host's */
	ROUTE_ELSEWHERE, /* they go to another host */
	ROUTE_NONE,	 /* they go nowhere */
	ROUTE_BROADCAST,
	ROUTE_MULTICAST,
};

/*
 * route_find() - @address: 4 or 16 bytes, network order
 *
 * Return: 0, or REFUSED with whatever netlink says.
 */
int route_find(int family, const uint8_t *address, enum route *ret, struct refusal *refusal);

/* route_word() - "local", "elsewhere", "none", "broadcast", "multicast", "unknown" */
const char *route_word(enum route route);
