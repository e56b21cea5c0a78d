/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rule files in a list of directories, the strongest first: which of them count */

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"

#define RULE_SUFFIX ".rule"

/* A file name in one of the directories. */
struct listed_file {
	char *name;
	size_t dir;
};

struct listing {
	struct listed_file *items;
	size_t n;
};

struct visitor {
	/* called for the strongest file of each name; Return: 0, RULE_BAD, FILE_GONE or FILE_MASKED, or -ENOMEM */
	int (*function)(const char *path, size_t dir, void *userdata, struct problems *problems);
	/* may be NULL; called when a directory cannot be read, before any file */
	int (*unreadable)(size_t dir, void *userdata, const struct problem *problem);
	/* called for each weaker one, @by is the strongest one; may be NULL */
	void (*hidden)(const char *path, const char *by, bool masked, void *userdata);
	void *userdata;
};

/* visit_is_rule_file() - by its name */
bool visit_is_rule_file(const char *name);

/* visit_collect() - the rule files of one directory, appended; Return: 0, RULE_BAD, or -ENOMEM */
int visit_collect(const char *path, size_t dir, struct listing *listing, struct problems *problems);
void visit_listing_deinit(struct listing *listing);

/* visit_files() - a directory that cannot be read is a problem, but the others are read; Return: 0, RULE_BAD, or -ENOMEM */
int visit_files(const char *const *dirs, const struct visitor *visitor, struct problems *problems);
