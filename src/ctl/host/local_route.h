/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * How to make addresses local without cutting this host off from others
 *
 * A local route for a prefix takes every address in it: a neighbour becomes an address of this host, and so does a
 * gateway. So a prefix is made local only if no route but a default route concerns any address in it.
 */

#include "routing.h"

#define OBSTACLE_TEXT_MAX 256

/*
 * local_route_obstacle() - what a local route for a prefix would take: "the network 203.0.113.0/24 of eth0"
 *
 * Return: @text, or NULL when there is nothing.
 */
const char *local_route_obstacle(
	const struct routing *routing, const struct prefix *prefix, char text[static OBSTACLE_TEXT_MAX]);

struct local_advice {
	char text[512];	   /* ends with a colon if there is a command */
	char command[128]; /* "": none */
};

/*
 * local_route_advise() - what to do to make an address local that is not
 * @routing: NULL when it is unknown
 * @prefix:  of the rule that wants it; NULL when there is none
 * @address: of the packet; NULL: any in the prefix
 */
void local_route_advise(const struct routing *routing, const struct prefix *prefix, int family,
	const uint8_t *address, struct local_advice *ret);

/*
 * local_route_taken() - what an existing local route takes from this host
 *
 * Return: @text as of local_route_obstacle(), or NULL when it takes nothing or is one of the kernel's.
 */
const char *local_route_taken(
	const struct routing *routing, const struct route_entry *entry, char text[static OBSTACLE_TEXT_MAX]);
