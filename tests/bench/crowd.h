/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Many address prefixes, and addresses among them to look up
 *
 * They are in 10.0.0.0/8 or in 2001:db8::/32, with the lengths of a table of routes and hosts, some within others.
 * They are random, but the same in every run.
 */

#include <stddef.h>

#include "bpf/world.h"

struct crowd {
	int family;
	struct prefix *prefixes; /* sorted by address, without duplicates */
	size_t n;
};

/* crowd_make() - @hosts: all of full length; ends the process if there is no memory */
void crowd_make(struct crowd *crowd, int family, size_t n, bool hosts);
void crowd_free(struct crowd *crowd);

/*
 * crowd_serve() - load rules for a TCP port with the prefixes spread at random over CROWD_NAMES names, all with one
 * socket
 *
 * Return: its descriptor.
 */
int crowd_serve(const struct crowd *crowd, struct world *world, uint16_t port);
#define CROWD_NAMES 64U

/* crowd_pick() - random addresses in prefixes that are spread evenly over the crowd */
void crowd_pick(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n);

/* crowd_pick_outside() - addresses before and after the crowd */
void crowd_pick_outside(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n);
