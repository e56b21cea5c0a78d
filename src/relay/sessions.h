/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Datagrams: each client of a listening socket has a socket of its own to the backend, whose answers go back to it
 *
 * A session ends when nothing has passed for SessionTimeout=. At the limit, the one that has been silent for longest makes
 * room, so that a flood of strange addresses ends no session that is in use before those of the flood.
 */

#include "../tally/tally.h"
#include "loop.h"
#include "settings.h"

struct session;
struct sessions;

/* A UDP socket from which clients are answered */
struct sessions_door {
	struct loop_source source;
	struct sessions *sessions;
	int fd;
	int family;
	uint16_t port;
};

struct sessions {
	struct loop *loop;
	struct tally *tally;
	const char *name;
	struct settings *settings; /* of new sessions; borrowed; NULL: datagrams are dropped */
	struct sessions_door *doors;
	size_t n_doors;
	struct session **buckets; /* by the addresses of client and server */
	struct session *newest, *oldest;
	struct loop_timer timer; /* of the oldest */
	unsigned limit;
	bool port_reported;
};

/*
 * sessions_start() - begin to serve
 * @sessions: has been filled, but for what follows from it
 *
 * Return: 0 or a negative errno.
 */
int sessions_start(struct sessions *sessions);

/* sessions_stop() - end all sessions, and read no more */
void sessions_stop(struct sessions *sessions);
