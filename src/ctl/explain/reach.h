/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Whether a packet gets to this host, and whether a reply gets back: routes and routing rules */

#include "../host/policy.h"
#include "../host/route.h"
#include "../host/routing.h"
#include "explanation.h"

struct reach {
	enum route route;
	/* the reply to the source that was given; without the source address of the reply. ROUTE_UNKNOWN: not asked */
	enum route reply, reply_from_any;
	struct routing routing; /* read when the address is not local, or routing rules may decide */
	struct policy policy;
	struct policy_outcome outcome; /* `open` is a rule in `policy`: the answer is not certain */
	struct refusal route_unknown, routing_unknown; /* error is 0 when they are known */
};

#define REACH_NULL ((struct reach){})

/* reach_read() - @ret: to be released on any result. Return: 0 or -ENOMEM. */
int reach_read(const struct asked *asked, struct reach *ret);
void reach_deinit(struct reach *reach);

/* reach_is_away() - the packet does not get to a socket here, whatever the rules of usher say */
bool reach_is_away(const struct reach *reach);

/* reach_is_to_many() - broadcast or multicast: no rule is applied */
bool reach_is_to_many(const struct reach *reach);
