/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The way of a packet through the base chains of nf_tables, from its device to the lookup of a socket */

#include "act.h"
#include "ruleset.h"

/*
 * walk_run() - lead a packet through a rule set
 * @probe: is changed as the rules change it
 *
 * Return: 0 or -ENOMEM.
 */
int walk_run(struct ruleset *ruleset, struct probe *probe, struct acts *ret);
