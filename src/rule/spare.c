/* SPDX-License-Identifier: BSD-3-Clause */
#include "spare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/cleanup.h"
#include "fault.h"

#define BESIDE ".new" /* hidden: no rule file */

static int write_all(int fd, const char *text, size_t size)
{
	off_t at = 0;

	while (size) {
		ssize_t n = pwrite(fd, text, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static int save(int folder, const struct rule *rule)
{
	char name[NAME_MAX + 1];
	_cleanup_close_ int fd = -1;
	int r;

	if (snprintf(name, sizeof(name), "%s.rule", rule->name) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = openat(folder, BESIDE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : write_all(fd, rule->text, rule->text_size);
	if (!r && renameat(folder, BESIDE, folder, name) < 0)
		r = -errno;
	if (r)
		(void)unlinkat(folder, name, 0);
	return r;
}

static void drop(int folder, const char *name)
{
	char file[NAME_MAX + 1];

	(void)snprintf(file, sizeof(file), "%s.rule", name);
	(void)unlinkat(folder, file, 0);
}

/* Removes what is no rule of the set. */
static void clear(int folder, const struct rule_set *set)
{
	int copy = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	_cleanup_(closedirp) DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!stream && copy >= 0)
		(void)close(copy);
	while (stream && (entry = readdir(stream))) {
		char name[NAME_MAX + 1];
		char *suffix;

		(void)snprintf(name, sizeof(name), "%s", entry->d_name);
		suffix = strrchr(name, '.');
		if (!suffix || name[0] == '.')
			continue;
		*suffix = '\0';
		if (!rule_set_find(set, name))
			(void)unlinkat(folder, entry->d_name, 0);
	}
}

int spare_save(const char *path, const struct rule_set *before, struct rule_set *set)
{
	_cleanup_close_ int folder = -1;
	int result = 0;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		result = -errno;
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder < 0 && !result)
		result = -errno;
	for (size_t i = 0; i < set->n_rules; i++) {
		struct rule *rule = &set->rules[i];
		int r = rule->text && folder >= 0 ? save(folder, rule) : 0;

		result = result ? result : r;
		free(rule->text);
		rule->text = NULL;
	}
	if (folder >= 0 && !before)
		clear(folder, set);
	for (size_t i = 0; folder >= 0 && before && i < before->n_rules; i++)
		if (!rule_set_find(set, before->rules[i].name))
			drop(folder, before->rules[i].name);
	return result;
}
