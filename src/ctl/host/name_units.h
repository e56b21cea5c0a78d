/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The units that should hand sockets in under a name, and why none is there
 *
 * The rule names a socket unit (Sockets=), or a socket unit has the name in FileDescriptorName=; usher@ of that unit
 * hands its sockets in, or the unit itself (PassFileDescriptorsToExec=), or it passes them to the broker (Sockets= of usherd.service). Without a socket unit, there
 * may be a service called as the name.
 */

#include <stdbool.h>

#include "manager.h"

struct name_fault {
	char text[512];	   /* a sentence without a full stop; "": nothing was found */
	char remedy[512];  /* what to do; a command follows if there is one */
	char command[512]; /* or "" */
};

/*
 * name_units_find() - the first fault in the way from the socket unit to the broker
 * @socket: the unit that the rule names; NULL: none
 *
 * Refused and returned as by manager_get_properties().
 */
int name_units_find(struct manager *manager, const char *name, const char *socket, struct name_fault *ret,
	struct refusal *refusal);
