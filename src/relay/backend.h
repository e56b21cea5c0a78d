/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets to the backend, and the options of both sockets of a connection */

#include "endpoint.h"
#include "settings.h"

/* Outcomes of backend_connect() besides 0 and a negative errno, which is the backend's */
enum {
	BACKEND_UNDERWAY = 1, /* EPOLLOUT will say more */
	BACKEND_LATER,	      /* no descriptor, no memory, or a full queue: worth another attempt */
};

/*
 * backend_connect() - begin a connection
 * @client: bind to this address (Transparent=); NULL: to none
 * @ret_fd: set unless the result is negative or BACKEND_LATER
 */
int backend_connect(const struct settings *settings, size_t i, const struct endpoint *client, int *ret_fd);

/*
 * backend_prepare() - set the options of a socket of a connection
 *
 * From now on, closing it sends RST: that of a process that is killed, too. A cut answer never looks like a whole one.
 */
void backend_prepare(const struct settings *settings, int fd, int family);

/* backend_allow_end() - closing it sends what is queued, and FIN */
void backend_allow_end(int fd);
