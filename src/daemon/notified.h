/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What comes through /run/usher/notify: FDSTORE=1 hands in and holds, FDSTOREREMOVE=1 withdraws. */

#include "usherd.h"

/* notified_open() - open the door; @passed_consume as for notify_door_new() */
int notified_open(struct usherd *usherd, int passed_consume);
