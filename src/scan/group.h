/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Several accepted candidates of one name: are they one SO_REUSEPORT group? */

#include "scan.h"

/*
 * group_check_bound() - refuse those that cannot be one group, as far as a dump tells
 * @candidates: of one rule and protocol, refused ones among them
 */
void group_check_bound(struct candidate *candidates, size_t n);

/*
 * group_refuse_all() - what is still accepted is ambiguous
 * @candidates: of one rule, protocol and family
 */
void group_refuse_all(struct candidate *candidates, size_t n);

/* candidate_refuse() - let go of its descriptors; its refusal is filled */
void candidate_refuse(struct candidate *candidate);
