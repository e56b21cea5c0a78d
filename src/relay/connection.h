/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One connection of a client, and the one to the backend that belongs to it
 *
 * An end of one side becomes an end of the other, and the other direction goes on. A reset becomes a reset, after
 * everything that came before it has been delivered.
 */

#include "../tally/tally.h"
#include "loop.h"
#include "settings.h"
#include "way.h"

/* What the connections of a relay share */
struct connection_home {
	struct loop *loop;
	struct tally *tally; /* `open` counts them */
	struct way_tools tools;
	const char *name;
	const struct settings *current;		    /* those of new connections; NULL: there are none */
	void (*left)(struct connection_home *home); /* one of them has ended */
	struct connection *first;
};

/*
 * connection_begin_consume() - serve a client
 * @fd:   was accepted, and is closed in any case
 * @peer: its address
 *
 * The timers of all connections have room in the loop (loop_reserve()).
 *
 * Return: 0 or a negative errno.
 */
int connection_begin_consume(
	struct connection_home *home, struct settings *settings, int fd, const struct sockaddr_storage *peer);

/* connection_end_all() - reset all of them */
void connection_end_all(struct connection_home *home);

/* connection_refuse_consume() - close a client's socket with a reset */
void connection_refuse_consume(int fd);
