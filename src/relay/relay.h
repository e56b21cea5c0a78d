/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A relay: its listening sockets, its settings, and its end */

#include "connection.h"
#include "sessions.h"

struct listener {
	struct loop_source source;
	struct relay *relay;
	int fd; /* -1: it was shut down */
	bool watched;
};

struct relay {
	struct connection_home home; /* must be the first */
	struct loop *loop;
	const char *const *directories; /* of rule files */
	struct settings *settings;	/* NULL: the rule cannot be used, and clients are reset */
	struct listener *listeners;
	size_t n_listeners;
	struct sessions sessions; /* its doors are the UDP sockets */
	struct loop_timer pause;  /* accepting begins again */
	struct loop_timer drain;  /* what has not ended by then is reset */
	unsigned drain_ms;
	unsigned max_connections; /* that have room in the table of descriptors */
	uint64_t full_reported_ms;
	bool draining;
};

/*
 * relay_start_consume() - read the rule and accept clients
 * @relay: zero, but for `loop`, `directories`, `drain_ms` and the name and tally of `home`
 * @fds:   listening and UDP sockets, which become the relay's
 *
 * A rule that cannot be used is reported, and clients are reset until a reload finds a better one.
 *
 * Return: 0 or a negative errno.
 */
int relay_start_consume(struct relay *relay, const int *fds, size_t n_fds);

/* relay_deinit() - reset what is open, and deinitialise the loop, too */
void relay_deinit(struct relay *relay);

/* relay_reload() - read the rule again, for new connections; if it cannot be used, nothing changes */
void relay_reload(struct relay *relay);

/* relay_drain() - accept no more, and end the loop with the last connection */
void relay_drain(struct relay *relay);
