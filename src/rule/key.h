/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A key of a section, and the keys whose values are lists of words */

#include "parser.h"

static inline bool key_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct key {
	const char *name;
	/* Adds the words of a value to the key. An empty value resets the key to nothing. */
	void (*assign)(struct parser *parser, const struct key *key, char *value);
	size_t words;	  /* for a list of words, and for a time: where it is in struct rule */
	uint8_t protocol; /* of the matches of Stream= and Datagram= */
};

/* key_next_word() - the next word of a list, or NULL; cuts the list in place */
char *key_next_word(char **value);

/* key_assign_once() - whether a key with one value may be set on this line; if so, notes the line */
bool key_assign_once(struct parser *parser, const struct key *key, unsigned *line);

/*
 * key_parse_time() - "500ms", "5s", "2min", "1h", or a number of seconds
 * @max: of the number in front of the unit
 *
 * Return: whether it is one; *ret_ms of one that is too large is UINT64_MAX.
 */
bool key_parse_time(const char *value, unsigned max, uint64_t *ret_ms);

/* Lists of words, which are at key->words */
void key_assign_users(struct parser *parser, const struct key *key, char *value);
void key_assign_groups(struct parser *parser, const struct key *key, char *value);
void key_assign_units(struct parser *parser, const struct key *key, char *value);
void key_assign_sockets(struct parser *parser, const struct key *key, char *value);
void key_assign_executables(struct parser *parser, const struct key *key, char *value);
