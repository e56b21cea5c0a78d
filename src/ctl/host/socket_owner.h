/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The owner of a socket, as far as this user may see it */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "../../scan/process.h"

/*
 * socket_owner_find() - the oldest process that has a socket open
 * @except: a process that does not count; 0: every process counts
 * @owners: one for each socket, PROCESS_NULL at first; pid 0: no process was seen. To be released with process_close().
 * @ret_all: every process could be examined, so a socket without an owner has none; may be NULL
 *
 * Process 1 is the owner only if no other process is: it opens sockets to pass them on. The broker, which holds sockets, is
 * the owner only if no process but process 1 has the socket open.
 *
 * Return: 0 or -ENOMEM.
 */
int socket_owner_find(
	const struct diag_socket *sockets, size_t n, pid_t except, struct process *owners, bool *ret_all);

#define SOCKET_OWNER_TEXT_MAX 512

/*
 * socket_owner_format() - "nginx (pid 7, nginx.service)", "a process of uid 33 (run as root to see which)", "the
 * kernel itself, for example VXLAN or WireGuard (no process has the socket open)"
 */
const char *socket_owner_format(const struct diag_socket *socket, const struct process *owner,
	char text[static SOCKET_OWNER_TEXT_MAX]);

/* socket_owner_is_absent() - was everybody asked, and has no process that is visible here the socket open? It may be the kernel's. */
bool socket_owner_is_absent(const struct diag_socket *socket, const struct process *owner);
