/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The last refused hand-in of each name
 *
 * The client and the journal got the reason at that moment. usherctl shows it to an administrator who asks later why a
 * name has no socket.
 *
 * A name has up to two entries: the last refusal of a client that may use the name, and the last one of any other client.
 * Since other clients can cause any number of refusals, theirs never replace an entry of the first kind.
 */

#include <stddef.h>
#include <stdint.h>

#include "../access/identity.h"
#include "../broker/generation.h"
#include "../util/error.h"
#include "../util/name.h"
#include "../wire/message.h"

/* How many entries are kept: those of clients that may use the name first, then those that were refused last */
#define REFUSALS_MAX 32U

struct refused_hand_in {
	char name[NAME_LENGTH_MAX + 1]; /* "": no entry */
	uint64_t time;			/* CLOCK_REALTIME, microseconds */
	pid_t pid;			/* 0: not visible to the broker */
	uid_t uid;
	bool is_stranger; /* the client may not use the name */
	char text[sizeof(((struct refusal *)NULL)->text)];
};

struct refusals {
	struct refused_hand_in items[REFUSALS_MAX];
};

/*
 * refusals_note() - record that a hand-in of this client was refused
 * @names: separated by colons; invalid ones are left out. NULL: the request had none
 */
void refusals_note(struct refusals *refusals, const struct generation *generation, const char *names,
	const struct identity *client, const struct refusal *refusal);

/* refusals_forget() - record that a hand-in under these names succeeded */
void refusals_forget(struct refusals *refusals, const char *names);

/*
 * refusals_find() - the last refusal of a name that concerns a client, or of any name when @name is NULL
 *
 * A refusal concerns root, the uid that was refused, and clients that may use the name.
 *
 * Return: one of a client that may use the name if there is any; NULL when there is none.
 */
const struct refused_hand_in *refusals_find(const struct refusals *refusals,
	const struct generation *generation, const char *name, const struct identity *asker);

/* refusals_write() - the keys HAND_IN_REFUSED… of an answer; @refused may be NULL */
void refusals_write(const struct refused_hand_in *refused, struct writer *answer);
