/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The tables of iptables-legacy and ip6tables-legacy, which nf_tables does not list */

#include <stddef.h>

#include "../../util/error.h"

/*
 * legacy_find() - the tables of one family that have rules, or a policy that drops
 * @tables: "filter nat"; "" when there are none
 *
 * Return: 0, or REFUSED: only root may see them.
 */
int legacy_find(int family, char *tables, size_t size, struct refusal *refusal);
