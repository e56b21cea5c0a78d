/* SPDX-License-Identifier: BSD-3-Clause */
#include "visit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../util/array.h"
#include "file.h"
#include "rule.h"

void visit_listing_deinit(struct listing *listing)
{
	for (size_t i = 0; i < listing->n; i++)
		free(listing->items[i].name);
	free(listing->items);
}

bool visit_is_rule_file(const char *name)
{
	size_t length = strlen(name);

	return length >= strlen(RULE_SUFFIX) && !strcmp(name + length - strlen(RULE_SUFFIX), RULE_SUFFIX);
}

/* Hidden files are ignored: editors keep locks and copies in them. */
int visit_collect(const char *path, size_t dir, struct listing *listing, struct problems *problems)
{
	DIR *stream = opendir(path);
	int r = 0;

	if (!stream && errno == ENOENT)
		return 0;
	if (!stream)
		return file_complain_errno(problems, path, "cannot read the directory", errno);
	while (!r) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(stream);
		if (!entry) {
			if (errno)
				r = file_complain_errno(problems, path, "cannot read the directory", errno);
			break;
		}
		if (entry->d_name[0] == '.' || !visit_is_rule_file(entry->d_name))
			continue;
		r = ARRAY_RESERVE(listing->items, listing->n);
		if (r < 0)
			break;
		listing->items[listing->n] = (struct listed_file){.name = strdup(entry->d_name), .dir = dir};
		if (!listing->items[listing->n].name)
			r = -ENOMEM;
		else
			listing->n++;
	}
	(void)closedir(stream);
	return r;
}

static int compare_listed(const void *a, const void *b)
{
	const struct listed_file *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
}

/* Visits the files of each name; one that has gone meanwhile is ignored. */
static int visit_listed(const char *const *dirs, const struct listing *listing, const struct visitor *visitor,
	struct problems *problems)
{
	_cleanup_free_ char *by = NULL; /* is the strongest one of this name */
	const char *name = NULL;
	bool masked = false, bad = false;

	for (size_t i = 0; i < listing->n; i++) {
		const struct listed_file *file = &listing->items[i];
		bool is_hidden = name && !strcmp(name, file->name);
		_cleanup_free_ char *path = NULL;
		int r;

		if (is_hidden && !visitor->hidden)
			continue;
		if (asprintf(&path, "%s/%s", dirs[file->dir], file->name) < 0) {
			path = NULL; /* asprintf(3) leaves it undefined */
			return -ENOMEM;
		}
		if (is_hidden) {
			visitor->hidden(path, by, masked, visitor->userdata);
			continue;
		}
		r = visitor->function(path, file->dir, visitor->userdata, problems);
		if (r < 0)
			return r;
		if (r == RULE_BAD)
			bad = true;
		if (r == FILE_GONE)
			continue;
		name = file->name;
		masked = r == FILE_MASKED;
		free(by);
		by = TAKE_PTR(path);
	}
	return bad ? RULE_BAD : 0;
}

/* A directory that cannot be read is a problem, but the others are read. */
int visit_files(const char *const *dirs, const struct visitor *visitor, struct problems *problems)
{
	_cleanup_(visit_listing_deinit) struct listing listing = {0};
	bool bad = false;
	int r;

	for (size_t i = 0; dirs[i]; i++) {
		r = visit_collect(dirs[i], i, &listing, problems);
		if (r < 0)
			return r;
		if (r == RULE_BAD && visitor->unreadable)
			r = visitor->unreadable(i, visitor->userdata, &problems->items[problems->n - 1]);
		if (r < 0)
			return r;
		bad = bad || r == RULE_BAD;
	}
	if (listing.n)
		qsort(listing.items, listing.n, sizeof(*listing.items), compare_listed);
	r = visit_listed(dirs, &listing, visitor, problems);
	return r ? r : bad ? RULE_BAD : 0;
}
