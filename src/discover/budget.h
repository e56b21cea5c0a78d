/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Limits the time that scans take
 *
 * Strangers can cause scans, and on a crowded host each takes long. BUDGET_BURST_US may be spent at once. After that,
 * scans get as much time as the pauses between them.
 */

#include <stdint.h>

#define BUDGET_BURST_US 200000U
#define BUDGET_MAX_US 1000000U /* no pause is longer */

struct budget {
	uint64_t ended;	   /* CLOCK_MONOTONIC, us: the last scan */
	uint64_t scanning; /* us that scans took, less the pauses between them */
};

/* budget_charge() - a scan took from @begin until @end. Return: the pause that is due now, in us. */
uint64_t budget_charge(struct budget *budget, uint64_t begin, uint64_t end);
