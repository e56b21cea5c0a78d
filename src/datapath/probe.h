/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Finding out by trying what the kernel lacks
 *
 * Nothing is probed on a kernel where everything works. The probes run after something failed, to say why in one
 * sentence.
 */

#include "../util/error.h"

/* probe_explain() - turn the negative errno of loading into a refusal: EPERM, or ENOSYS and the missing feature */
int probe_explain(int error, struct refusal *refusal);
