/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* How long to wait until the next scan that no event causes */

#include <stdbool.h>

#define PACE_FIRST_MS 100U
#define PACE_RETRY_MAX_MS 5000U
#define PACE_MOVES_MAX 4U

/* The outcome of a scan */
struct pace_scan {
	bool is_unfinished; /* to be repeated until it is finished */
	bool is_moving; /* a socket was between two processes, and no event reports its arrival: to be repeated a few times */
};

struct pace {
	unsigned pause_ms; /* the next one; start with PACE_FIRST_MS */
	unsigned n_moves;  /* scans because of is_moving since the last event */
};

/* pace_reset() - something happened */
void pace_reset(struct pace *pace);

/*
 * pace_next() - after a scan
 * @interval_ms: the longest pause between scans if nothing reports listeners; 0 if hooks do
 *
 * The pauses double. Return: milliseconds; 0: no scan is due.
 */
unsigned pace_next(struct pace *pace, unsigned interval_ms, const struct pace_scan *scan);
