/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* usher@NAME.service, the unit that hands in the sockets of NAME.socket */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define USHER_SERVICE_MAX 264

/* usher_unit_format() - of a socket unit, whose name ends in ".socket" */
static inline void usher_unit_format(const char *socket, char text[static USHER_SERVICE_MAX])
{
	(void)snprintf(text, USHER_SERVICE_MAX, "usher@%.*s.service",
		(int)(strlen(socket) - strlen(".socket")), socket);
}

#define USHER_LISTED_MAX 127 /* characters of a unit that the broker keeps, and lists */

/* usher_unit_is_listed() - is it the unit that the broker lists? NULL is none. */
static inline bool usher_unit_is_listed(const char *service, const char *listed)
{
	return listed && strncmp(service, listed, USHER_LISTED_MAX) == 0 &&
	       (strlen(service) <= USHER_LISTED_MAX || strlen(listed) == USHER_LISTED_MAX);
}
