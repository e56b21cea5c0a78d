/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A key of a section: what assign.c and discover.c share, and the keys whose values are lists of words */

#include "parse.h"

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct key {
	const char *name;
	/* Sets the key to the words of a value. No word at all takes back what the key was given above. */
	void (*assign)(struct parser *parser, const struct key *key, char *value);
	size_t words;	  /* for a list of words: where it is in struct rule */
	uint8_t protocol; /* of the matches of Stream= and Datagram= */
};

/* next_word() - the next word of a list, or NULL; cuts the list in place */
char *next_word(char **value);

/* assign_once() - a key with one value: whether it may be set on this line, which is noted if so */
bool assign_once(struct parser *parser, const struct key *key, unsigned *line);

/* Lists of words, which are at key->words */
void assign_users(struct parser *parser, const struct key *key, char *value);
void assign_groups(struct parser *parser, const struct key *key, char *value);
void assign_units(struct parser *parser, const struct key *key, char *value);
void assign_executables(struct parser *parser, const struct key *key, char *value);
