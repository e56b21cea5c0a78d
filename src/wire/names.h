/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The names of a request: NAME= or NAMES=, and other lists with colons. */

#include <stdbool.h>
#include <stddef.h>

#include "../util/error.h"
#include "../util/name.h"
#include "message.h"
#include "protocol.h"

/*
 * names_next() - take the first word off a list with colons
 * @list: what is left of it; NULL after the last word
 *
 * Return: whether there was one. A word that does not fit is cut, but is still longer than any valid name.
 */
bool names_next(const char **list, char *ret, size_t size);

/*
 * names_next_number() - take the first word off such a list, which should be the number of a descriptor
 * @otherwise: when there is none, or it is no number
 */
unsigned long names_next_number(const char **list, unsigned long otherwise);

/* names_count() - how many words a list with colons has; an empty list has one, which is empty */
size_t names_count(const char *list);

/* Names as they came, not checked yet; one that is too long is cut to more than any name has. */
struct names {
	char items[PROTOCOL_NAMES_MAX][NAME_LENGTH_MAX + 2];
	size_t n;
};

/*
 * names_read() - those of a request, which has exactly one of NAME= and NAMES=
 * @n_fds: NAMES= has as many as that, unless it is 0
 *
 * Return: 0 or REFUSED.
 */
int names_read(const struct message *message, size_t n_fds, struct names *ret, struct refusal *refusal);

/* names_sort() - each once, and ready for names_contain() */
void names_sort(struct names *names);
bool names_contain(const struct names *names, const char *name);

/*
 * names_text() - the names of a request, for messages: NAMES= that are all the same become one name
 * @name: room for that one name
 *
 * Return: a name or a list of them; NULL when there is none.
 */
const char *names_text(const struct message *message, char name[static NAME_LENGTH_MAX + 1]);
