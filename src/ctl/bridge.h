/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * --listen-fds: a bridge from programs that pass a socket as any descriptor, such as standard input (inetd, s6, supervisord),
 * to a COMMAND that looks for it in $LISTEN_FDS
 *
 * The descriptors are moved, not duplicated. A second descriptor would keep the socket open when COMMAND closes it, and
 * clients would wait for nobody.
 */

#include "ctl.h"

/*
 * bridge_check() - can the descriptors of --fd be passed on?
 *
 * Call it before anything else is opened. Complains. Return: an exit code.
 */
int bridge_check(const struct ctl *ctl);

/*
 * bridge_build() - move them after those that are in $LISTEN_FDS already, and set the variables
 *
 * Wherever one of the sockets is also standard input, output or error, /dev/null takes its place. Complains. Return: an exit
 * code.
 */
int bridge_build(const struct ctl *ctl);
