/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Orphans among the places of a seat: sockets that the broker holds for a process that has ended
 *
 * An orphan that serves keeps its clients waiting until somebody claims it. One after a place that serves helps nobody, and
 * one that is in a group with a socket that is no orphan does harm: the kernel goes on giving it a share of the
 * connections.
 */

#include "broker.h"

/* orphans_is_one() - whether a socket of a name is an orphan */
bool orphans_is_one(const struct broker *broker, const char *name, uint64_t cookie);

/* orphans_let_go() - hold an orphan no longer; its seats lose it when it has closed (reap_seat()) */
void orphans_let_go(struct broker *broker, const char *name, uint64_t cookie);

/* orphans_drop_idle() - in all seats, let go of those that serve in none, if its first place is not of orphans only */
void orphans_drop_idle(struct broker *broker);
