/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The last hand-in of each name that was refused
 *
 * The client has been told, and the journal. Whoever asks later why a name has no socket asks usherctl.
 */

#include <stddef.h>
#include <stdint.h>

#include "../access/identity.h"
#include "../util/error.h"
#include "../util/name.h"
#include "../wire/message.h"

/* So many names are kept; of more, those that were refused last. */
#define REFUSALS_MAX 32U

struct refused_hand_in {
	char name[NAME_LENGTH_MAX + 1]; /* "": no entry */
	uint64_t time;			/* CLOCK_REALTIME, microseconds */
	pid_t pid;			/* 0: not visible to the broker */
	uid_t uid;
	char text[sizeof(((struct refusal *)NULL)->text)];
};

struct refusals {
	struct refused_hand_in items[REFUSALS_MAX];
};

/*
 * refusals_note() - a hand-in of this client was refused
 * @names: separated by colons; what is no valid name is left out. NULL: there was none
 */
void refusals_note(struct refusals *refusals, const char *names, const struct identity *client,
	const struct refusal *refusal);

/* refusals_forget() - a hand-in under the same names was done */
void refusals_forget(struct refusals *refusals, const char *names);

/* refusals_find() - of a name, or of NULL: of any; the last one, or NULL */
const struct refused_hand_in *refusals_find(const struct refusals *refusals, const char *name);

/* refusals_write() - the keys HAND_IN_REFUSED… of an answer; @refused may be NULL */
void refusals_write(const struct refused_hand_in *refused, struct writer *answer);
