/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the service manager passes to the broker itself: $LISTEN_FDS of sd_listen_fds(3). */

#include <stddef.h>

struct passed_socket {
	int fd; /* to be taken with TAKE_FD */
	char *name;
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
 * The two sockets of usherd.socket are recognised by their type, because the sockets of one unit share one name.
 *
 * Return: 0 or a negative errno.
 */
int passed_take(struct passed *ret);

/* passed_deinit() - closes what was not taken */
void passed_deinit(struct passed *passed);
