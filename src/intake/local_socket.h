/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The AF_UNIX sockets of the doors: bound here, or by the service manager. */

#include <sys/stat.h>
#include <sys/un.h>

/* A path to be removed at the end; empty when the service manager bound the socket */
struct local_socket_path {
	char text[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t device; /* of what was bound there */
	ino_t inode;
};

/*
 * local_socket_consume() - a non-blocking socket whose packets carry credentials
 * @passed: a bound (SOCK_SEQPACKET: listening) socket, consumed; or -1 to bind at @path, replacing what is there
 * @type:   SOCK_SEQPACKET or SOCK_DGRAM
 *
 * The caller must hold the lock of the instance (pins/folder.h); otherwise it could take the path from a live broker.
 * Anybody may send.
 *
 * SO_PASSCRED is set before anybody can connect. Accepted sockets inherit it (unix_accept() in net/unix/af_unix.c);
 * setting it there would be too late for packets that have arrived already.
 *
 * Return: a descriptor, or a negative errno.
 */
int local_socket_consume(int passed, int type, const char *path, struct local_socket_path *ret_path);

/* local_socket_remove() - remove a path that was bound here, unless another process has bound it since */
void local_socket_remove(const struct local_socket_path *path);
