/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Descriptors of processes */

#include <stdbool.h>

/*
 * pidfd_is_alive() - whether the process has not ended; false for a negative number
 *
 * What /proc/PID showed before was about this process if it is alive afterwards.
 */
bool pidfd_is_alive(int pidfd);
