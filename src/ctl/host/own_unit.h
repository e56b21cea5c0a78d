/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The unit in which this process was started, and by which of its lines. Not known: systemd did not start it, or cannot be asked. */

#include "../../util/name.h"

#define OWN_UNIT_MAX 256

struct own_unit {
	char name[OWN_UNIT_MAX];   /* "": not known */
	char socket[OWN_UNIT_MAX]; /* a socket unit that should pass sockets to it; "": none */
	const char *key;	   /* "ExecStartPre" and so on; NULL for ExecStart= */
};

/* own_unit_read() - ask the service manager of the host; Return: 0 or -ENOMEM */
int own_unit_read(struct own_unit *ret);
