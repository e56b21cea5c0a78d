/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Where the routes of this network namespace lead for a packet: rtnetlink(7), through libmnl
 *
 * Needs no privilege. What the question leaves open counts as in a packet of this host itself: no mark, no device by
 * which it came. policy.h tells whether that matters.
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
	ROUTE_DROPPED, /* the kernel drops packets from this source that come by this device */
};

struct route_question {
	int family;
	const uint8_t *destination; /* 4 or 16 bytes, network order */
	const uint8_t *source;	    /* NULL: not known */
	uint8_t protocol;	    /* IPPROTO_*; 0: any */
	uint16_t port, source_port; /* 0: any */
	uint32_t device; /* by which it comes; 0: not known. Needs a source: the kernel checks that. */
	uint32_t mark;
};

/* route_ask() - Return: 0, REFUSED with the errno of netlink, or -ENOMEM */
int route_ask(const struct route_question *question, enum route *ret, struct refusal *refusal);

/* route_find() - of an address alone, 4 or 16 bytes in network order. Return: as route_ask(). */
int route_find(int family, const uint8_t *address, enum route *ret, struct refusal *refusal);

/*
 * route_find_device() - the device that has a local address; @ret: 0 when the address is not local
 *
 * What the host sends to such an address comes by lo, but for a lookup of sockets by that device.
 */
int route_find_device(int family, const uint8_t *address, uint32_t *ret, struct refusal *refusal);

/* route_word() - "local", "elsewhere", "none", "broadcast", "multicast", "dropped", "unknown" */
const char *route_word(enum route route);
