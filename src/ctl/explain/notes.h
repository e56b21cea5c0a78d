/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What else an administrator should know about a packet, whether it arrives or not */

#include "evidence.h"
#include "finding.h"

void notes_find(const struct evidence *evidence, struct findings *findings);
