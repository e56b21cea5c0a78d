/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the kernel lacks, found out by trying
 *
 * Nothing is probed on a kernel on which everything works: these run after something failed, to say why in one
 * sentence.
 */

#include "../util/error.h"

/* probe_explain() - turn the negative errno of loading into a refusal (EPERM, or ENOSYS with what is missing) */
int probe_explain(int error, struct refusal *refusal);
