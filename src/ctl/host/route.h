/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Where the routes of this network namespace lead for an address: rtnetlink(7), through libmnl
 *
 * Needs no privilege. The answer is for packets without a mark, from any interface; `ip rule` can route others
 * differently.
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
 * Return: 0, or REFUSED with the errno of netlink.
 */
int route_find(int family, const uint8_t *address, enum route *ret, struct refusal *refusal);

/* route_word() - "local", "elsewhere", "none", "broadcast", "multicast", "unknown" */
const char *route_word(enum route route);
