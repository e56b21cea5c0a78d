/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The targets of xtables in rules of nf_tables */

#include "attributes.h"
#include "evaluation.h"

void target_evaluate(struct evaluation *evaluation, const struct attributes *attributes);
