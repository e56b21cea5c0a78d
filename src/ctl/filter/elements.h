/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The elements of a set of nf_tables, as ranges of keys: nfnetlink(7) */

#include "ruleset.h"

/* elements_read() - Return: 0 or a negative errno, with the set as it was */
int elements_read(struct ruleset_set *set);
void elements_deinit(struct ruleset_set *set);

struct nlattr;

/* elements_read_verdict() - from NFTA_DATA_VERDICT; Return: is it one? */
int elements_read_verdict(const struct nlattr *data, struct ruleset_verdict *ret);
