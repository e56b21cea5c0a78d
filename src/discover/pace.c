/* SPDX-License-Identifier: BSD-3-Clause */
#include "pace.h"

void pace_reset(struct pace *pace)
{
	*pace = (struct pace){.pause_ms = PACE_FIRST_MS};
}

unsigned pace_next(struct pace *pace, unsigned interval_ms, const struct pace_scan *scan)
{
	bool is_retry = scan->is_unfinished || (scan->is_moving && pace->n_moves++ < PACE_MOVES_MAX);
	unsigned longest = interval_ms, pause;

	if (is_retry && (!longest || longest > PACE_RETRY_MAX_MS))
		longest = PACE_RETRY_MAX_MS;
	if (!longest) {
		pace->pause_ms = PACE_FIRST_MS;
		return 0;
	}
	pause = pace->pause_ms < longest ? pace->pause_ms : longest;
	pace->pause_ms = 2 * pause;
	return pause;
}
