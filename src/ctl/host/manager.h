/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The service manager of the host: systemd
 *
 * Any user can ask it over the system bus. Root asks it directly, over a socket that only root may use and that works
 * without a bus. The first question connects. If systemd cannot be reached or does not answer in time, every further
 * question gets the same refusal at once: a manager that hangs costs one deadline.
 */

#include <systemd/sd-bus.h>

#include "../../util/error.h"

struct manager {
	sd_bus *bus;
	struct refusal silence; /* its error is 0 as long as systemd answers */
};

#define MANAGER_NULL ((struct manager){})

void manager_deinit(struct manager *manager);

/*
 * manager_get_properties() - all properties of a unit, a{sv}; systemd loads the unit if it is not loaded
 *
 * Refused: systemd does not run here, cannot be reached, does not answer in time, or does not let the caller ask.
 * Return: 0, REFUSED, or -ENOMEM.
 */
int manager_get_properties(
	struct manager *manager, const char *unit, sd_bus_message **ret_properties, struct refusal *refusal);

/*
 * manager_get_sockets() - the names of all socket units, loaded or not: those that run, and those that only have a file
 * @names: each terminated; an empty one ends the list. To be freed. Templates are left out.
 *
 * Refused and returned as by manager_get_properties().
 */
int manager_get_sockets(struct manager *manager, char **ret_names, struct refusal *refusal);

/* manager_get_units() - the same of the units that are loaded and in a state, such as "active"; @pattern is a shell glob */
int manager_get_units(struct manager *manager, const char *pattern, const char *state, char **ret_names,
	struct refusal *refusal);

/*
 * manager_start() - queue a start of a unit, without starting what it requires, and do not wait for it
 *
 * Refused and returned as by manager_get_properties().
 */
int manager_start(struct manager *manager, const char *unit, struct refusal *refusal);

/* manager_restart() - the same, also if the unit is starting already: a start would be lost then */
int manager_restart(struct manager *manager, const char *unit, struct refusal *refusal);
