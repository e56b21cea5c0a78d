/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The matches of xtables in rules of nf_tables */

#include "attributes.h"
#include "evaluation.h"

void match_evaluate(struct evaluation *evaluation, const struct attributes *attributes);
