/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets that the service manager passes at the start: held ones from its store, and those of Sockets= units. */

#include "../broker/broker.h"
#include "../intake/passed.h"

/*
 * restore_passed() - take them all
 *
 * Held sockets are held again, and handed in if the kernel's table does not have them any more. The others are handed in
 * under the names they were passed with, once more after each restart, which changes nothing for those that are there;
 * the broker's copies are closed. What cannot be taken is reported.
 */
void restore_passed(struct broker *broker, struct passed *passed);
