/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What keeps a packet from the socket that was looked up: settings of its unit, and programs of its cgroup */

#include "evidence.h"
#include "finding.h"

void guard_faults_find(const struct evidence *evidence, struct findings *findings);
