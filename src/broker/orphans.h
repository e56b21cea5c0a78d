/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Orphans among the places of a seat: sockets that the broker holds for a process that has ended
 *
 * An orphan that serves keeps its clients waiting until somebody claims it. One behind a socket that serves helps nobody,
 * and does harm if both are of one SO_REUSEPORT group: the kernel goes on giving it a share of the connections.
 */

#include "broker.h"

/*
 * orphans_read() - those of a seat, in its order
 * @ret: USHER_PLACES_MAX of them
 *
 * Return: how many there are.
 */
unsigned orphans_read(const struct broker *broker, uint32_t seat, struct registry_place *ret);

/* orphans_let_go() - hold an orphan no longer; its seats lose it when it has closed (reap_seat()) */
void orphans_let_go(struct broker *broker, const char *name, uint64_t cookie);

/* orphans_serves() - whether a socket is the first of any seat of its name */
bool orphans_serves(const struct broker *broker, const char *name, uint64_t cookie);

/* orphans_drop_idle() - in all seats, let go of those that serve in none and are behind a socket that is no orphan */
void orphans_drop_idle(struct broker *broker);
