/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The root of cgroup v2, to which programs are attached that see the sockets of all processes */

#include "../util/error.h"

/*
 * cgroup_root_open() - @ret: a descriptor
 *
 * Refused: no cgroup v2 is mounted (ENODEV), or it cannot be opened. In a cgroup namespace it is the root of that.
 */
int cgroup_root_open(int *ret, struct refusal *refusal);
