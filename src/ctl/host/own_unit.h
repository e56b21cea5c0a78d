/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The unit in which this process was started, and by which of its lines */

#include "../../util/name.h"

#define OWN_UNIT_MAX 256

struct own_unit {
	char name
		[OWN_UNIT_MAX]; /* "" if this is not known: not started by systemd, or systemd cannot be asked */
	const char *key;	/* "ExecStartPre" and so on; NULL for ExecStart= */
};

/* own_unit_read() - ask the service manager of the host; Return: 0 or -ENOMEM */
int own_unit_read(struct own_unit *ret);
