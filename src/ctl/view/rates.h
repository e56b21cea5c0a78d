/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rates of the counters of each name, from one look to the next */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/macro.h"
#include "../../util/name.h"

#define RATES_HISTORY 60U

struct rate {
	char name[NAME_LENGTH_MAX + 1];
	uint64_t lookups, missing, refused; /* of all seats of the name, at the last look */
	uint64_t before[3];		    /* the same at the previous look */
	unsigned long sockets;
	double per_second[3];	       /* lookups, missing, refused; 0 at the first look */
	double history[RATES_HISTORY]; /* lookups per second, the newest last */
	bool seen;		       /* during this look */
	bool is_new;		       /* not there at the previous look */
};

struct rates {
	struct rate *items; /* sorted by name, except during a look */
	size_t n;
	double time; /* of the previous look, in seconds; 0: there was none */
};

#define RATES_NULL ((struct rates){.n = 0})

void rates_deinit(struct rates *rates);

/*
 * rates_begin(), rates_add(), rates_end() - one look
 *
 * rates_add() is called for each seat. rates_end() forgets names without a seat. A counter that has decreased is that
 * of a new seat, and counts from zero. Return: 0 or -ENOMEM.
 */
void rates_begin(struct rates *rates);
int rates_add(struct rates *rates, const char *name, bool has_socket, uint64_t lookups, uint64_t missing,
	uint64_t refused);
void rates_end(struct rates *rates, double now);
