/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * --stand-in: a socket that is handed in for the UDP socket that COMMAND opens itself
 *
 * In a map, the kernel gives a UDP socket other functions (docs/sockets.md). So a socket is handed in that nobody reads: it
 * is in one SO_REUSEPORT group with that of COMMAND, and the program of the group chooses the latter.
 */

#include "ctl.h"

/*
 * stand_in_open() - open it
 * @ret: stays open when COMMAND is executed, because the kernel dispatches to it as long as it is open
 *
 * The program chooses by the position in the group, and a member that closes gives its position to the last one. So the
 * stand-in must be the first: opening fails if another socket has the address, even with SO_REUSEPORT.
 *
 * Complains. Return: an exit code.
 */
int stand_in_open(const struct ctl *ctl, int *ret);
