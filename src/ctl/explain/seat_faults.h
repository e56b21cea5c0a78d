/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Why the seat that a packet is for has no socket, or none that can take it */

#include "evidence.h"
#include "finding.h"

void seat_faults_find(const struct evidence *evidence, struct findings *findings);
