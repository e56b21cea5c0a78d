/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets of one name that only stand by: who writes a line ListenStream= for each port expects something else */

#include "passed.h"

/* spares_complain() - a line on standard error for each name of which several sockets take the same packets */
void spares_complain(const struct passed *passed);
