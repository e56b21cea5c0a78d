/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Are several accepted candidates of one name one SO_REUSEPORT group? */

#include "scan.h"

/*
 * group_check_bound() - refuse candidates that cannot be one group, as far as a dump shows
 * @candidates: of one rule and protocol, including refused ones
 */
void group_check_bound(struct scan_candidate *candidates, size_t n);

/*
 * group_refuse_all() - refuse the candidates that are still accepted, because they are ambiguous
 * @candidates: of one rule, protocol and family
 */
void group_refuse_all(struct scan_candidate *candidates, size_t n);

/* group_refuse_candidate() - mark as refused and close its descriptors; the caller fills in the refusal */
void group_refuse_candidate(struct scan_candidate *candidate);
