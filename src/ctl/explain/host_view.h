/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is on this host around a packet, the broker left aside: routes, listening sockets, processes */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "../../scan/process.h"
#include "../host/route.h"
#include "explanation.h"

/* A socket that listens on the port; those that fit better first */
struct listener {
	const struct diag_socket *socket;
	enum fit {
		LISTENER_EXACT,
		LISTENER_WILDCARD,
		LISTENER_DUAL_STACK, /* an IPv6 wildcard, for IPv4 */
	} fit;
	struct process owner; /* pid 0: not seen */
};

#define LISTENERS_MAX 16

struct listener_list {
	struct listener items[LISTENERS_MAX];
	size_t n, n_all;
};

/* What is seen of a place */
struct place_seen {
	const struct diag_socket *socket; /* NULL: not seen */
	struct process registrant;	  /* pid 0: it has ended, or cannot be looked at */
	bool registrant_gone;		  /* it has ended */
	struct process holder; /* who has the socket open, the broker left aside; pid 0: not seen */
	bool holder_known;     /* so when it was not seen, nobody has it open */
	size_t n_group;	       /* sockets bound as this one is: a reuseport group; 1 when it is alone */
};

struct host_view {
	enum route route;
	struct diag_socket *sockets;
	size_t n_sockets;
	struct place_seen places[PLACES_MAX]; /* of the explanation's */
	struct listener_list takers; /* would take the packet if there were no rule, places left aside */
	struct listener_list v6only; /* would if they were not v6only */
	struct listener_list
		mptcp; /* MPTCP listeners when a TCP socket is missing: on the port, then on others */
	struct refusal route_unknown, sockets_unknown; /* error is 0 when they are known */
};

/*
 * host_view_read() - look at all that, if it is there to be seen
 * @ret: to be released with host_view_deinit() on any result
 *
 * Return: 0 or -ENOMEM.
 */
int host_view_read(const struct asked *asked, const struct explanation *explanation, struct host_view *ret);
void host_view_deinit(struct host_view *host);

/* host_view_taker() - the one of the takers that the kernel prefers, of those that any interface leads to; or NULL */
const struct listener *host_view_taker(const struct host_view *host);
