/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Looking at sock_diag(7), and making the counts of obstacles agree with it */

#include <stdbool.h>

#include "../datapath/obstacles.h"

#define LOOKOUT_PORTS_MAX 32U

/* Where to look */
struct lookout_ports {
	bool all;
	size_t n; /* when it is not all */
	struct {
		uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
		uint16_t port;
	} items[LOOKOUT_PORTS_MAX];
};

static inline bool lookout_ports_is_empty(const struct lookout_ports *ports)
{
	return !ports->all && !ports->n;
}

/* lookout_ports_add() - @port: 0: all */
void lookout_ports_add(struct lookout_ports *ports, int protocol, uint16_t port);

/*
 * lookout_look() - count what is there, and forget what is not
 * @ret_changed: there is reason to look again in a second: a thread may have stopped between its hook and what follows
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int lookout_look(const struct obstacles *obstacles, const struct lookout_ports *ports, bool *ret_changed,
	struct refusal *refusal);
