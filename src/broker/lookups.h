/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which users and groups are being looked up, and who waits for that
 *
 * After a start and a reload all that the rules name are looked up. A request that is decided by one whose number is not
 * known, or was asked for too long ago, waits for a new answer (access_doubts()): LOOKUPS_PATIENCE_MS at most, and then it
 * is decided by what is known. Nothing else waits.
 */

#include <systemd/sd-event.h>

#include "../access/access.h"

/* Less than usher@.service waits for an answer */
#define LOOKUPS_PATIENCE_MS 3000U

struct lookups;
struct lookup_wait;

/*
 * lookups_new() - @nursery: borrowed
 * @idle: called from the event loop when nothing is left to look up; whether any number has changed since the last call
 */
int lookups_new(sd_event *event, int nursery, struct accounts *accounts,
	void (*idle)(bool altered, void *userdata), void *userdata, struct lookups **ret);

/* lookups_free() - all that wait have gone; accepts NULL, returns NULL */
struct lookups *lookups_free(struct lookups *lookups);
DEFINE_CLEANUP(struct lookups, lookups_free);

/* lookups_wait() - nothing is waited for yet; @done is called once, from the event loop. NULL: no memory */
struct lookup_wait *lookups_wait(struct lookups *lookups, void (*done)(void *userdata), void *userdata);

/* lookup_wait_for() - look an account up, and wait for it; for access_doubts(), @wait is a struct lookup_wait */
void lookup_wait_for(struct account *account, void *wait);

/* lookups_ask_all() - look up every account that the rules name, after what others wait for */
void lookups_ask_all(struct lookups *lookups);

/* lookup_wait_for_all() - wait until what lookups_ask_all() was called for so far is done */
void lookup_wait_for_all(struct lookup_wait *wait);

/* lookup_wait_is_over() - whether there is nothing to wait for: then done() is not called, and lookup_cancel() is due */
bool lookup_wait_is_over(const struct lookup_wait *wait);

/* lookup_cancel() - wait no more; accepts NULL */
void lookup_cancel(struct lookup_wait *wait);
