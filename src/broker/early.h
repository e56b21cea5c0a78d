/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Listen=kernel: which listeners a program of usher-discover may let in at listen(2), and for how long they stay
 *
 * In `early_rules` the broker writes which sockets may go where. The program of usher-discover puts such listeners into
 * `early`, without asking the broker, and leaves a record in `events`. Within USHER_EARLY_SECONDS from then the listener
 * must be handed in, with all checks of a hand-in. usher-bpf.h describes the maps.
 */

#include "broker.h"
#include "early_plan.h"

/* early_new() - broker->early, without any seats yet; Return: 0 or a negative errno */
int early_new(struct broker *broker);
struct early *early_free(struct early *early);

/*
 * early_apply() - put the plan of the generation that has become current into force
 * @plan: its seats are taken
 *
 * Empties the slots of `early` that the plan does not allow. A listener in another slot, for example after a restart of
 * the broker, gets the same time as a new one. Call this before seats are freed: no entry may lead to a seat that could
 * become another name's.
 */
void early_apply(struct broker *broker, struct early_plan *plan);

/* early_note() - remember the address in a listener's record, for messages; empty the slot if no rule has the seat */
void early_note(struct broker *broker, const struct usher_event *event);

/* early_follow() - start the time of new listeners; call it after any record, because others may have been lost */
void early_follow(struct broker *broker);

/*
 * early_take_out() - empty the slots of a name that hold this socket
 *
 * Return: how many seats that were.
 */
unsigned early_take_out(struct broker *broker, const char *name, uint64_t cookie);

/* early_evict() - the same, and report to the administrator why */
unsigned early_evict(struct broker *broker, const char *name, uint64_t cookie, const char *reason);
