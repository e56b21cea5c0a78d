/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The names of a request: NAME= or NAMES=. */

#include <stdbool.h>
#include <stddef.h>

#include "../util/error.h"
#include "../util/name.h"
#include "message.h"

/*
 * names_nth() - the word at an index of a list with colons
 *
 * Return: whether there is one. A word that does not fit is cut, but is still longer than any valid name.
 */
bool names_nth(const char *list, size_t index, char *ret, size_t size);

/* names_count() - how many words a list with colons has; an empty list has one, which is empty */
size_t names_count(const char *list);

/* names_check_count() - check for one of NAME= and NAMES=, the latter with as many names as sockets; 0 or REFUSED */
int names_check_count(const struct message *message, size_t n_fds, struct refusal *refusal);

/* names_of_request() - the name of the socket at an index; Return: 0 or REFUSED */
int names_of_request(
	const struct message *message, size_t index, char *ret, size_t size, struct refusal *refusal);

/*
 * names_text() - the names of a request, for messages: NAMES= that are all the same become one name
 * @name: room for that one name
 *
 * Return: a name or a list of them; NULL when there is none.
 */
const char *names_text(const struct message *message, char name[static NAME_LENGTH_MAX + 1]);
