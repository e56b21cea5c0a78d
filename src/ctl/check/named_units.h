/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The socket units that rules name (Sockets=): what keeps their sockets from being handed in, as far as systemd knows */

#include "../../rule/problem.h"
#include "../host/manager.h"
#include "../view/socket_rules.h"

struct named_unit_fault {
	char text[600];	   /* a sentence without a full stop; "": it is fine */
	char remedy[600];  /* what to do; a command follows if there is one */
	char command[600]; /* or "" */
	bool unlinked;	   /* the fault is that systemd has not read the rule */
};

/*
 * named_unit_look() - the first fault of a unit
 * @usherctl: with the option of the instance
 *
 * Refused: systemd does not say. Return: 0, REFUSED, or -ENOMEM.
 */
int named_unit_look(struct manager *manager, const char *unit, const char *usherctl,
	struct named_unit_fault *ret, struct refusal *refusal);

/*
 * named_units_warn() - a warning for each unit with a fault, or one if systemd does not say; Return: 0 or -ENOMEM
 * @instance: its name, "" for the default one
 */
int named_units_warn(const struct socket_rules *rules, const char *instance, struct problems *warnings);
