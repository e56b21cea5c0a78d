/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The value of the first line that starts with "KEY=", with its length; NULL when there is none. */
static const char *find_value(const char *text, const char *key, size_t *ret_length)
{
	size_t length = strlen(key);

	while (*text) {
		size_t line = strcspn(text, "\n");

		if (line > length && !strncmp(text, key, length) && text[length] == '=') {
			*ret_length = line - length - 1;
			return text + length + 1;
		}
		text += line + (text[line] == '\n');
	}
	return NULL;
}

static bool is_set(const char *text, const char *key, const char *wanted)
{
	size_t length;
	const char *value = find_value(text, key, &length);

	return value && length == strlen(wanted) && !strncmp(value, wanted, length);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	while (*text) {
		size_t line = strcspn(text, "\n");

		n += line > 0;
		text += line + (text[line] == '\n');
	}
	return n;
}

/* As fdname_is_valid() of systemd: printable ASCII without a colon. An empty name is valid. */
static bool read_name(const char *text, char *ret)
{
	size_t length;
	const char *value = find_value(text, "FDNAME", &length);

	if (!value || length > NOTIFY_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (value[i] < ' ' || value[i] >= 127 || value[i] == ':')
			return false;
	memcpy(ret, value, length);
	ret[length] = 0;
	return true;
}

int notify_parse(struct notify *ret, const char *text, size_t size, size_t n_fds, struct refusal *refusal)
{
	struct notify notify = {.action = NOTIFY_NOTHING};
	bool has_name;

	if (size && !text[size - 1])
		size--;
	if (memchr(text, 0, size))
		return refuse(
			refusal, EBADMSG, "the datagram has a NUL byte inside (EBADMSG); see sd_notify(3)");
	if (is_set(text, "BARRIER", "1")) {
		if (count_lines(text) != 1 || n_fds != 1)
			return refuse(refusal, EBADMSG,
				"BARRIER=1 came with other assignments or with %zu descriptors (EBADMSG); send it alone, with one descriptor",
				n_fds);
		notify.action = NOTIFY_BARRIER;
		*ret = notify;
		return 0;
	}
	has_name = read_name(text, notify.name);
	notify.poll = !is_set(text, "FDPOLL", "0");
	if (is_set(text, "FDSTOREREMOVE", "1")) {
		if (!has_name)
			return refuse(refusal, EBADMSG,
				"FDSTOREREMOVE=1 came without a valid FDNAME= (EBADMSG); send the name to withdraw");
		notify.action = NOTIFY_REMOVE;
	} else if (is_set(text, "FDSTORE", "1")) {
		if (!has_name)
			(void)snprintf(notify.name, sizeof(notify.name), "stored");
		notify.action = NOTIFY_STORE;
	}
	*ret = notify;
	return 0;
}
