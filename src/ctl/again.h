/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Socket units that rules name, or that of --unit, and whose sockets the broker lacks */

#include "ctl.h"

/*
 * again_run() - start usher@ of each such unit that listens; those that have been stopped stay stopped
 *
 * Complains on failure. Return: an exit code.
 */
int again_run(const struct ctl *ctl);
