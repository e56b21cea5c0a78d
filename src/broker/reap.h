/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Noticing and reporting closed sockets
 *
 * The kernel takes a closed socket out of the maps without notice. The broker gets hints only: a registrant that exits,
 * an event of the program, a request. Each leads here, where the maps are read.
 */

#include "broker.h"

/* reap_seat() - take closed sockets out of a seat, and report that its first place has gone; Return: how many are left */
unsigned reap_seat(struct broker *broker, uint32_t seat);

/* reap_start() - start to listen for hints */
int reap_start(struct broker *broker);

/* reap_soon() - look at all seats once, when the event loop runs next */
void reap_soon(struct broker *broker);

/* reap_watch_registrants() - watch the processes that the places name, after a restart of the broker */
void reap_watch_registrants(struct broker *broker);

/* reap_on_exit() - for registrants_new(); @userdata is the struct broker */
void reap_on_exit(pid_t pid, void *userdata);
