/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Clocks, each as one number */

#include <stdint.h>

#define CLOCK_USEC_PER_SEC UINT64_C(1000000)

/* clock_realtime_usec() - microseconds since 1970, for people and files */
uint64_t clock_realtime_usec(void);

/* clock_monotonic_usec(), clock_monotonic_nsec() - since some start, never set back: for durations */
uint64_t clock_monotonic_usec(void);
uint64_t clock_monotonic_nsec(void);
