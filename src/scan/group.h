/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Several accepted candidates of one name: are they one SO_REUSEPORT group? */

#include "scan.h"

/*
 * group_check_bound() - refuse those that cannot be one group, as far as a dump tells
 * @candidates: of one rule and protocol, refused ones among them
 */
void group_check_bound(struct scan_candidate *candidates, size_t n);

/*
 * group_refuse_all() - what is still accepted is ambiguous
 * @candidates: of one rule, protocol and family
 */
void group_refuse_all(struct scan_candidate *candidates, size_t n);

/* group_refuse_candidate() - let go of its descriptors; its refusal is filled */
void group_refuse_candidate(struct scan_candidate *candidate);
