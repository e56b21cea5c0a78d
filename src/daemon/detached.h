/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * /run/usher/detached: 'usherctl detach' ended the broker, and nobody has started it since
 *
 * ExecStopPost= of the unit finds it there and stops the socket unit, or the next client would start the broker again.
 */

#include "../util/instance.h"

/* detached_mark() - reports it when the file cannot be written */
void detached_mark(const struct instance *instance);

void detached_clear(const struct instance *instance);
