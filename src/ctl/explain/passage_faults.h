/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What packet filters do with a packet before a socket is looked up, and what of that was not looked at */

#include "evidence.h"
#include "finding.h"

void passage_faults_find(const struct evidence *evidence, struct findings *findings);
