/* SPDX-License-Identifier: BSD-3-Clause */
#include "subuids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/array.h"
#include "../util/text.h"

#define UID_LAST ((uid_t)-2) /* (uid_t)-1 is not a uid */

struct user {
	const char *name; /* borrowed */
	uid_t uid;
};

struct users {
	struct user *items;
	size_t n;
};

/* Cuts a line "a:b:c…" into its first three words. Return: false when it has fewer. */
static bool split(char *line, char *words[static 3])
{
	for (size_t i = 0; i < 3; i++) {
		words[i] = strsep(&line, ":");
		if (!words[i])
			return false;
	}
	return true;
}

static bool parse_uid(const char *text, uid_t *ret)
{
	unsigned long number;

	if (text_to_uint(text, UID_LAST, &number) < 0)
		return false;
	*ret = (uid_t)number;
	return true;
}

static int compare_users(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

static int parse_passwd(char *text, struct users *users)
{
	char *line, *words[3];

	while ((line = strsep(&text, "\n")) && users->n < SUBUIDS_USERS_MAX) {
		uid_t uid;

		if (!split(line, words) || !parse_uid(words[2], &uid))
			continue;
		if (ARRAY_RESERVE(users->items, users->n) < 0)
			return -ENOMEM;
		users->items[users->n++] = (struct user){.name = words[0], .uid = uid};
	}
	if (users->n)
		qsort(users->items, users->n, sizeof(*users->items), compare_users);
	return 0;
}

static uid_t find_owner(const struct users *users, const char *name, uid_t otherwise)
{
	const struct user key = {.name = name}, *user;
	uid_t uid;

	if (parse_uid(name, &uid))
		return uid;
	user = users->n ? bsearch(&key, users->items, users->n, sizeof(key), compare_users) : NULL;
	return user ? user->uid : otherwise;
}

static bool parse_range(char *line, const struct users *users, struct subuid_range *ret)
{
	char *words[3];
	unsigned long n;

	if (!split(line, words) || !parse_uid(words[1], &ret->first) || !ret->first ||
		text_to_uint(words[2], UINT32_MAX, &n) < 0 || !n)
		return false;
	ret->last = n - 1 > UID_LAST - ret->first ? UID_LAST : ret->first + (uid_t)(n - 1);
	ret->owner = find_owner(users, words[0], ret->first);
	return ret->owner;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct subuid_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static int parse_ranges(char *text, const struct users *users, struct subuids *subuids)
{
	char *line;

	while ((line = strsep(&text, "\n")) && subuids->n < SUBUIDS_MAX) {
		struct subuid_range range;

		if (!parse_range(line, users, &range))
			continue;
		if (ARRAY_RESERVE(subuids->ranges, subuids->n) < 0)
			return -ENOMEM;
		subuids->ranges[subuids->n++] = range;
	}
	if (subuids->n)
		qsort(subuids->ranges, subuids->n, sizeof(*subuids->ranges), compare_ranges);
	return 0;
}

int subuids_parse(char *subuid, char *passwd, struct subuids *ret)
{
	struct subuids subuids = {.n = 0};
	struct users users = {.n = 0};
	int r = parse_passwd(passwd, &users);

	if (!r)
		r = parse_ranges(subuid, &users, &subuids);
	free(users.items);
	if (r < 0) {
		subuids_deinit(&subuids);
		return r;
	}
	*ret = subuids;
	return 0;
}

/* Return: the text, "" when there is none, or NULL: no memory. */
static char *read_text(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)SUBUIDS_BYTES_MAX)
		return strdup("");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return NULL;
	while (size < (size_t)st.st_size && (n = read(fd, text + size, (size_t)st.st_size - size)) > 0)
		size += (size_t)n;
	text[size] = 0;
	return TAKE_PTR(text);
}

int subuids_read(const char *subuid_path, const char *passwd_path, struct subuids *ret)
{
	_cleanup_free_ char *subuid = read_text(subuid_path), *passwd = read_text(passwd_path);

	return subuid && passwd ? subuids_parse(subuid, passwd, ret) : -ENOMEM;
}

void subuids_deinit(struct subuids *subuids)
{
	free(subuids->ranges);
	*subuids = (struct subuids){.n = 0};
}

uid_t subuids_owner(const struct subuids *subuids, uid_t uid)
{
	size_t low = 0, high = subuids->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (subuids->ranges[middle].first <= uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low && uid <= subuids->ranges[low - 1].last ? subuids->ranges[low - 1].owner : uid;
}
