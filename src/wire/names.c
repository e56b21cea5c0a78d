/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool names_nth(const char *list, size_t index, char *ret, size_t size)
{
	for (; index; index--) {
		list = strchr(list, ':');
		if (!list)
			return false;
		list++;
	}
	(void)snprintf(ret, size, "%.*s", (int)strcspn(list, ":"), list);
	return true;
}

size_t names_count(const char *list)
{
	size_t n = 1;

	for (; *list; list++)
		n += *list == ':';
	return n;
}

int names_check_count(const struct message *message, size_t n_fds, struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME), *names = message_get(message, KEY_NAMES);

	if (!name == !names)
		return refuse(refusal, EINVAL,
			name ? "the request has two lists of names (EINVAL); send one of NAME= and NAMES="
			     : "the request has no name (EINVAL); send one of NAME= and NAMES=");
	if (names && n_fds && names_count(names) != n_fds)
		return refuse(refusal, EINVAL,
			"%zu names came with %zu sockets (EINVAL); send one name for each",
			names_count(names), n_fds);
	return 0;
}

int names_of_request(
	const struct message *message, size_t index, char *ret, size_t size, struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME);

	if (name)
		(void)snprintf(ret, size, "%s", name);
	else if (!names_nth(message_get(message, KEY_NAMES), index, ret, size))
		return refuse(refusal, EINVAL, "NAMES= has no name number %zu (EINVAL)", index + 1);
	return 0;
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
