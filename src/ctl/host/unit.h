/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A unit as the service manager describes it: properties, each with a name and a D-Bus type */

#include <stdbool.h>
#include <stdint.h>

#include "../../util/prefix.h"
#include "manager.h"

struct unit {
	sd_bus_message *properties;
};

#define UNIT_NULL ((struct unit){})

void unit_deinit(struct unit *unit);

/* unit_load() - ask for a unit; refused and returned as by manager_get_properties() */
int unit_load(struct manager *manager, const char *name, struct unit *ret, struct refusal *refusal);

/* unit_has() - does this systemd know the property, and is it of this type? */
bool unit_has(const struct unit *unit, const char *property, const char *type);

/* unit_text() - of a string, or "yes" and "no" of a boolean; "" if there is no such property. Borrowed from the unit. */
const char *unit_text(const struct unit *unit, const char *property);
bool unit_is(const struct unit *unit, const char *property, const char *value);

/* unit_number() - of an unsigned number of 32 or 64 bits; 0 if there is no such property */
uint64_t unit_number(const struct unit *unit, const char *property);

/*
 * unit_list() - begin a list of strings, "as"
 * unit_filter() - begin a list of what is allowed, or of what is denied, "(bas)"
 * unit_next() - the next string of the list that was begun last, or NULL. Borrowed from the unit.
 *
 * Return: is there such a property?
 */
bool unit_list(const struct unit *unit, const char *property);
bool unit_filter(const struct unit *unit, const char *property, bool *ret_allows);
const char *unit_next(const struct unit *unit);

/*
 * unit_pairs() - begin a list of pairs of strings, "a(ss)"
 * unit_next_pair() - the next pair. Borrowed from the unit.
 *
 * Return: is there one?
 */
bool unit_pairs(const struct unit *unit, const char *property);
bool unit_next_pair(const struct unit *unit, const char **ret_first, const char **ret_second);

/*
 * unit_prefixes() - begin a list of prefixes of addresses, "a(iayu)"
 * unit_next_prefix() - the next one of it; Return: is there one?
 */
bool unit_prefixes(const struct unit *unit, const char *property);
bool unit_next_prefix(const struct unit *unit, struct prefix *ret);
