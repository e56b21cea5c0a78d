/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The host as a packet meets it, apart from the broker: routes, listening sockets, processes */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "../../scan/process.h"
#include "explanation.h"
#include "reach.h"

/* A socket that listens on the port; in a list the best fit comes first */
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

/* What the host shows of a place */
struct place_seen {
	const struct diag_socket *socket; /* NULL: not seen */
	struct process registrant;	  /* pid 0: it has ended, or this user may not see it */
	bool registrant_gone;		  /* it has ended */
	struct process holder; /* another process than the broker that has the socket open; pid 0: not seen */
	bool holder_known;     /* everybody was looked at: if it was not seen, no process has it open */
	size_t n_group;	       /* sockets of its reuseport group; 1 when it is alone */
};

struct host_view {
	struct reach reach;
	struct diag_socket *sockets;
	size_t n_sockets;
	struct place_seen places[PLACES_MAX]; /* of the explanation's */
	struct listener_list takers; /* would take the packet if there were no rule; without the places */
	struct listener_list v6only; /* would take it if they were not v6only */
	struct listener_list
		mptcp; /* MPTCP listeners when a TCP socket is missing: on the port, then on others */
	uint32_t device, ingress; /* of the packet that was asked about; 0: not known */
	bool closed_to_vrf; /* it comes by a VRF, and sockets that are bound to no device get nothing of VRFs */
	struct refusal sockets_unknown; /* error is 0 when they are known */
};

/*
 * host_view_read() - look at all of that, as far as this user may see it
 * @ret: to be released with host_view_deinit() on any result
 *
 * Return: 0 or -ENOMEM.
 */
int host_view_read(const struct asked *asked, const struct explanation *explanation, struct host_view *ret);
void host_view_deinit(struct host_view *host);

/*
 * host_view_taker() - the taker that the kernel prefers, or NULL
 *
 * If the device of the packet is not known, those that are bound to one do not count.
 */
const struct listener *host_view_taker(const struct host_view *host);

/* host_view_bound_taker() - the device is not known, and this one is preferred if it is that of the socket; or NULL */
const struct listener *host_view_bound_taker(const struct host_view *host);
