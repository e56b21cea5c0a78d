/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/text.h"

bool names_next(const char **list, char *ret, size_t size)
{
	size_t length;

	if (!*list)
		return false;
	length = strcspn(*list, ":");
	(void)snprintf(ret, size, "%.*s", (int)length, *list);
	*list = (*list)[length] ? *list + length + 1 : NULL;
	return true;
}

unsigned long names_next_number(const char **list, unsigned long otherwise)
{
	char word[16];
	unsigned long number;

	return names_next(list, word, sizeof(word)) && text_to_uint(word, 1U << 30, &number) == 0 ? number
												  : otherwise;
}

size_t names_count(const char *list)
{
	size_t n = 1;

	for (; *list; list++)
		n += *list == ':';
	return n;
}

static int check_count(const struct message *message, size_t n_fds, struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME), *names = message_get(message, KEY_NAMES);

	if (!name == !names)
		return refuse(refusal, EINVAL,
			name ? "the request has two lists of names (EINVAL); send one of NAME= and NAMES="
			     : "the request has no name (EINVAL); send one of NAME= and NAMES=");
	if (names && names_count(names) > PROTOCOL_NAMES_MAX)
		return refuse(refusal, E2BIG,
			"%zu names came in one request, which takes %u (E2BIG); send several requests",
			names_count(names), PROTOCOL_NAMES_MAX);
	if (names && n_fds && names_count(names) != n_fds)
		return refuse(refusal, EINVAL,
			"%zu names came with %zu sockets (EINVAL); send one name for each",
			names_count(names), n_fds);
	return 0;
}

int names_read(const struct message *message, size_t n_fds, struct names *ret, struct refusal *refusal)
{
	const char *list = message_get(message, KEY_NAMES);
	int r = check_count(message, n_fds, refusal);

	if (r)
		return r;
	ret->n = 0;
	if (list)
		while (names_next(&list, ret->items[ret->n], sizeof(ret->items[0])))
			ret->n++;
	else
		(void)snprintf(ret->items[ret->n++], sizeof(ret->items[0]), "%.*s", NAME_LENGTH_MAX + 1,
			message_get(message, KEY_NAME));
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

void names_sort(struct names *names)
{
	size_t n = 0;

	qsort(names->items, names->n, sizeof(names->items[0]), compare_names);
	for (size_t i = 0; i < names->n; i++)
		if (!n || strcmp(names->items[i], names->items[n - 1]) != 0)
			memmove(names->items[n++], names->items[i], sizeof(names->items[0]));
	names->n = n;
}

bool names_contain(const struct names *names, const char *name)
{
	return bsearch(name, names->items, names->n, sizeof(names->items[0]), compare_names) != NULL;
}

const char *names_text(const struct message *message, char name[static NAME_LENGTH_MAX + 1])
{
	const char *names = message_get(message, KEY_NAME);
	size_t length;

	if (names)
		return names;
	names = message_get(message, KEY_NAMES);
	length = names ? strcspn(names, ":") : 0;
	if (!names || length > NAME_LENGTH_MAX)
		return names;
	for (const char *p = names + length; *p; p += 1 + length)
		if (strncmp(p + 1, names, length) != 0 || (p[1 + length] && p[1 + length] != ':'))
			return names;
	(void)snprintf(name, NAME_LENGTH_MAX + 1, "%.*s", (int)length, names);
	return name;
}
