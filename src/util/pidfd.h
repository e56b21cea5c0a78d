/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Descriptors of processes */

#include <stdbool.h>

/*
 * pidfd_is_alive() - whether the process has not ended; false for a negative number
 *
 * What was read of a process by its number is about this process if it is alive afterwards.
 */
bool pidfd_is_alive(int pidfd);
