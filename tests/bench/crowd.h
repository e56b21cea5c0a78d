/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Many address prefixes, and addresses to ask for among them
 *
 * They lie in 10.0.0.0/8 or in 2001:db8::/32, with the lengths that a table of routes and hosts has, some within others;
 * random, and the same in every run.
 */

#include <stddef.h>

#include "bpf/world.h"

struct crowd {
	int family;
	struct prefix *prefixes; /* sorted by address, no two alike */
	size_t n;
};

/* crowd_make() - @hosts: of full length all; ends the process when there is no memory */
void crowd_make(struct crowd *crowd, int family, size_t n, bool hosts);
void crowd_free(struct crowd *crowd);

/*
 * crowd_serve() - load rules for a TCP port that share the prefixes out at random among CROWD_NAMES names, all of one socket
 *
 * Return: its descriptor.
 */
int crowd_serve(const struct crowd *crowd, struct world *world, uint16_t port);
#define CROWD_NAMES 64U

/* crowd_pick() - addresses in prefixes that are spread evenly over the crowd; anywhere within them */
void crowd_pick(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n);

/* crowd_pick_outside() - addresses before and behind the crowd */
void crowd_pick_outside(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n);
