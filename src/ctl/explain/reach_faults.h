/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What keeps a packet from this host, and its reply from the client */

#include "evidence.h"
#include "finding.h"

void reach_faults_find(const struct evidence *evidence, struct findings *findings);
