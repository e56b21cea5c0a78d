/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the service manager passes to the broker itself: $LISTEN_FDS of sd_listen_fds(3). */

#include <stddef.h>
#include <sys/un.h>

#include "../util/error.h"
#include "../util/instance.h"

/* FileDescriptorName= of usherd.socket */
#define PASSED_DOOR_NAME "usher"

struct passed_socket {
	int fd; /* to be taken with TAKE_FD */
	char *name;
	bool local;						    /* AF_UNIX: no rule can lead to it */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* of a local one; "" when it has none */
};

struct passed {
	int door;   /* a listening AF_UNIX SOCK_SEQPACKET socket, usher.sock; -1 when there is none */
	int notify; /* a bound AF_UNIX SOCK_DGRAM socket, notify; -1 when there is none */
	struct passed_socket *sockets; /* everything else, in the order in which it was passed */
	size_t n_sockets;
};

#define PASSED_NULL ((struct passed){.door = -1, .notify = -1})

/*
 * passed_take() - take what was passed, once, and remove it from the environment
 *
 * A door has the name PASSED_DOOR_NAME, its type, and the path of the instance: other units may have local sockets of the
 * same type, and the order is the service manager's. What has only one of name and path was meant as a door and is none:
 * clients would wait at it, so the start is refused.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int passed_take(const struct instance *instance, struct passed *ret, struct refusal *refusal);

/* passed_deinit() - closes what was not taken */
void passed_deinit(struct passed *passed);
