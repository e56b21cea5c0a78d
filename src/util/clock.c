/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <time.h>

static uint64_t read_nsec(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t clock_realtime_usec(void)
{
	return read_nsec(CLOCK_REALTIME) / 1000;
}

uint64_t clock_monotonic_usec(void)
{
	return read_nsec(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_monotonic_nsec(void)
{
	return read_nsec(CLOCK_MONOTONIC);
}
