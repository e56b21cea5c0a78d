/* SPDX-License-Identifier: BSD-3-Clause */
#include "rest.h"

uint64_t rest_after(struct rest *rest, uint64_t begin, uint64_t end)
{
	uint64_t pause = begin - rest->ended;

	rest->ended = end;
	rest->scanning -= pause < rest->scanning ? pause : rest->scanning;
	rest->scanning += end - begin;
	if (rest->scanning > REST_BURST_US + REST_MAX_US)
		rest->scanning = REST_BURST_US + REST_MAX_US;
	return rest->scanning > REST_BURST_US ? rest->scanning - REST_BURST_US : 0;
}
