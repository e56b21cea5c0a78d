/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets that the service manager passes at the start: held ones from its store, and those of Sockets= units. */

#include "../broker/broker.h"
#include "../intake/passed.h"

/*
 * restore_passed() - take them all
 *
 * Held sockets are held again, and handed in if the kernel's table no longer has them. The others are handed in under
 * the names with which they were passed, and the broker closes its copies. At a restart that changes nothing for those
 * that are still in the table. A socket that cannot be taken is reported.
 */
void restore_passed(struct broker *broker, struct passed *passed);
