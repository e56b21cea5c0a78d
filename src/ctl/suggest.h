/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What somebody may have meant who wrote a word that is not known */

#include <stddef.h>

struct suggestion {
	const char *word; /* what was written */
	size_t distance;  /* of the best ones so far */
	char text[160];	  /* "'hand-in' or 'held'"; "" when nothing is near */
};

/* SUGGESTION() - for a word, before any candidate */
#define SUGGESTION(text) ((struct suggestion){.word = (text), .distance = (size_t)-1})

/*
 * suggest() - keep a candidate if it is as near as the best ones so far, and only it if it is nearer
 *
 * Near is what begins with the word, or becomes it by a few letters that are left out, added, replaced or swapped.
 */
void suggest(struct suggestion *suggestion, const char *prefix, const char *candidate);
