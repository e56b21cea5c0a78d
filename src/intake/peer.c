/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int peer_read(struct peer *peer, int socket)
{
	socklen_t size = sizeof(peer->credentials);

	*peer = (struct peer){0};
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer->credentials, &size) < 0)
		return -errno;
	size = 0;
	/* asks for the size first: -ERANGE and the size, or 0 when there are none (net/core/sock.c) */
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return 0;
	peer->groups = malloc(size);
	if (!peer->groups)
		return -ENOMEM;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) < 0)
		return -errno;
	peer->n_groups = size / sizeof(gid_t);
	return 0;
}

void peer_deinit(struct peer *peer)
{
	free(peer->groups);
	*peer = (struct peer){0};
}

void peer_lend_groups(const struct peer *peer, const struct ucred *sender, struct identity *identity)
{
	if (memcmp(sender, &peer->credentials, sizeof(*sender)) != 0)
		return;
	identity->groups = peer->groups;
	identity->n_groups = peer->n_groups;
}
