/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Listen=kernel: what usher-discover's program may let in at listen(2), and for how long it stays
 *
 * The broker says in `early_rules` who may go where; a program of usher-discover fills `early` by it, without asking, and
 * leaves a record in `events`. From then on the listener has USHER_EARLY_SECONDS in which it must be handed in, with all
 * that is checked there. usher-bpf.h has the maps.
 */

#include "broker.h"
#include "early_plan.h"

/* early_new() - broker->early, without any seats yet; Return: 0 or a negative errno */
int early_new(struct broker *broker);
struct early *early_free(struct early *early);

/*
 * early_apply() - make the plan of the generation that has become current the one that counts
 * @plan: its seats are taken
 *
 * Empties `early` where it is not allowed any more, and gives what it finds elsewhere, after a restart of the broker for
 * example, the same time as a new listener. Must come before seats are freed: no entry may lead to a seat that could be
 * another name's.
 */
void early_apply(struct broker *broker, struct early_plan *plan);

/* early_note() - a record tells of a listener: what is in it is for messages only, unless no rule has the seat */
void early_note(struct broker *broker, const struct usher_event *event);

/* early_follow() - after any records, of which some may have been lost: let the time of new listeners begin */
void early_follow(struct broker *broker);

/*
 * early_take_out() - empty the slots of a name that hold this socket
 *
 * Return: how many seats that were.
 */
unsigned early_take_out(struct broker *broker, const char *name, uint64_t cookie);

/* early_evict() - the same, and tell the administrator why */
unsigned early_evict(struct broker *broker, const char *name, uint64_t cookie, const char *reason);
