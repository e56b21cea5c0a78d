/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* How long to wait until the next scan that nothing causes */

#include <stdbool.h>

#define PACE_FIRST_MS 100U
#define PACE_RETRY_MAX_MS 5000U
#define PACE_MOVES_MAX 4U

/* What came of a scan */
struct pace_scan {
	bool is_unfinished; /* it is to be repeated until it is finished */
	bool is_moving; /* a socket was between two processes, which no event ends: to be repeated a few times */
};

struct pace {
	unsigned pause_ms; /* the next one; start with PACE_FIRST_MS */
	unsigned n_moves;  /* scans because of is_moving, since something happened */
};

/* pace_reset() - something happened */
void pace_reset(struct pace *pace);

/*
 * pace_next() - after a scan
 * @interval_ms: the longest pause between scans where nobody tells of listeners; 0 where somebody does
 *
 * The pauses double. Return: milliseconds; 0: no scan is due.
 */
unsigned pace_next(struct pace *pace, unsigned interval_ms, const struct pace_scan *scan);
