/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The lookout: keeps the counts of obstacles, which rules with a later order do not override, in accord with sock_diag(7)
 *
 * Hooks in the kernel count (../datapath/obstacles.h). The lookout adds what was there before them, corrects what they
 * cannot see, and forgets what has gone. It looks when they are attached, when one of them asks for it, and when a packet
 * was left to somebody; never without such an event.
 */

#include "../../bpf/usher-bpf.h"
#include "../util/error.h"

struct broker;
struct generation;
struct obstacles;
struct lookout;

int lookout_new(struct broker *broker);
struct lookout *lookout_free(struct lookout *lookout); /* accepts NULL, returns NULL; what is pinned stays */

/*
 * lookout_prepare() - before a generation is loaded: count all that may stand before its rules, and before those in force
 *
 * Does nothing unless a rule has a later order. When a broker starts and cannot count, it reports that, and the ports of
 * these rules are left to others altogether.
 *
 * Return: 0, REFUSED, or a negative errno; lookout_settle() undoes it.
 */
int lookout_prepare(struct broker *broker, const struct generation *next, struct refusal *refusal);

/* lookout_settle() - when it is decided which generation is current: count for that one alone; nothing, if it needs none */
void lookout_settle(struct broker *broker);

/* lookout_obstacles() - NULL: nothing is counted */
struct obstacles *lookout_obstacles(const struct broker *broker);

/* lookout_blindness() - why nothing can be counted; NULL: it is */
const char *lookout_blindness(const struct broker *broker);

/* lookout_note() - an event of the ring buffer; lookout_follow(), after all of them, looks */
void lookout_note(struct broker *broker, const struct usher_event *event);
void lookout_follow(struct broker *broker);
