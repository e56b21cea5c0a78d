/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What else is to be known about a packet, whatever becomes of it */

#include "evidence.h"
#include "finding.h"

void notes_find(const struct evidence *evidence, struct findings *findings);
