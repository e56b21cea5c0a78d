/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Counters of the broker's own work
 *
 * Counters of lookups are in pinned maps and outlive the broker; these start at 0 with each broker.
 */

#include <stddef.h>
#include <stdint.h>

#include "../wire/message.h"

#define TALLY_TIMES 14	 /* bounds of the histogram; one more bucket takes what is slower */
#define TALLY_REASONS 16 /* why hand-ins are refused; the last one is any other reason */

struct tally {
	uint64_t reloads, reloads_failed;
	uint64_t hand_ins, refused[TALLY_REASONS]; /* requests */
	uint64_t times[TALLY_TIMES + 1], nsec;	   /* each answer in one of `times` */
	uint64_t slow_turns;			   /* of the event loop */
};

void tally_reload(struct tally *tally, int failed);

/* tally_hand_in() - @error: why it was refused, a positive errno; or 0 */
void tally_hand_in(struct tally *tally, int error);

/* tally_hand_in_time() - count how long a hand-in took in the broker; @userdata is the struct tally */
void tally_hand_in_time(uint64_t nsec, void *userdata);

/* Within this time the event loop gets to the next one that wants something. */
#define TALLY_TURN_NSEC 20000000U

/* tally_turn() - how long one turn of the event loop took */
void tally_turn(struct tally *tally, uint64_t nsec);

/* tally_write() - the keys of the request status */
void tally_write(const struct tally *tally, struct writer *answer);
