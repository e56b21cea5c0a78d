/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Why the seat of a packet has no socket, or none that can take the packet */

#include "evidence.h"
#include "finding.h"

void seat_faults_find(const struct evidence *evidence, struct findings *findings);
