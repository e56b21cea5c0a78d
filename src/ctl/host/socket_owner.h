/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Whose a socket is that nobody handed in, as far as this user may see it */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "../../scan/process.h"

/*
 * socket_owner_find() - of the processes that have a socket open the oldest, process 1, which passes sockets on, last
 * @except: a process that does not count; 0: everybody counts
 * @owners: one for each socket, PROCESS_NULL at first; pid 0: nobody was seen. To be released with process_close().
 * @ret_all: everybody could be looked at, so whoever was not seen is not there; may be NULL
 *
 * Return: 0 or -ENOMEM.
 */
int socket_owner_find(
	const struct diag_socket *sockets, size_t n, pid_t except, struct process *owners, bool *ret_all);

#define SOCKET_OWNER_TEXT_MAX 512

/* socket_owner_format() - "nginx (pid 7, nginx.service)", "a process of uid 33 (root would be told which)", "the kernel" */
const char *socket_owner_format(const struct diag_socket *socket, const struct process *owner,
	char text[static SOCKET_OWNER_TEXT_MAX]);
