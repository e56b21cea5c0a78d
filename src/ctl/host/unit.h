/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A unit of systemd as `systemctl show` tells of it */

#include <stdbool.h>
#include <stddef.h>

#include "../../util/error.h"

struct unit {
	char *text; /* lines KEY=VALUE, each ended by NUL */
	size_t size;
};

#define UNIT_NULL ((struct unit){})

void unit_deinit(struct unit *unit);

/*
 * unit_show() - run systemctl
 * @properties: separated by commas; one that this systemd does not know is left out of the answer
 *
 * Refused: it cannot be run, it fails, it does not answer in time. Return: 0, REFUSED, or -ENOMEM.
 */
int unit_show(const char *name, const char *properties, struct unit *ret, struct refusal *refusal);

/* unit_get() - "" when it is not there */
const char *unit_get(const struct unit *unit, const char *property);
bool unit_is(const struct unit *unit, const char *property, const char *value);

/* unit_has_word() - is it one of the words, separated by blanks, of the property? */
bool unit_has_word(const struct unit *unit, const char *property, const char *word);
