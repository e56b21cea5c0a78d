/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Who connected to a socket, with its groups, which no packet carries */

#include <stddef.h>
#include <sys/socket.h>

#include "../access/identity.h"

struct peer {
	struct ucred credentials; /* at connect(2) */
	gid_t *groups;		  /* at connect(2) */
	size_t n_groups;
};

/* peer_read() - of a socket that was accepted; to be deinitialised after a failure, too */
int peer_read(struct peer *peer, int socket);
void peer_deinit(struct peer *peer);

/*
 * peer_lend_groups() - give the sender of a packet the groups of the peer, if it is that process
 *
 * A process that got the socket from the peer has groups of its own, and they are not known.
 */
void peer_lend_groups(const struct peer *peer, const struct ucred *sender, struct identity *identity);
