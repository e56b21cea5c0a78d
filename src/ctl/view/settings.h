/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The settings of a rule set in their canonical spelling, one for each assignment: those that the broker has in force,
 * or those in the files
 */

#include <stddef.h>
#include <stdio.h>

#include "../../rule/rule.h"
#include "../../util/macro.h"
#include "../ask.h"

struct setting {
	const char *name, *section, *key, *value;
	const char *file;
	unsigned long line; /* 0: a default */
	/* only of a match; otherwise NULL */
	const char *protocol, *prefix, *ports;
	char text[]; /* the strings above point into it */
};

struct settings {
	struct setting **items;
	size_t n;
};

#define SETTINGS_NULL ((struct settings){})

void settings_deinit(struct settings *settings);

/* settings_add_row() - a row of the request `rules`, for ask(); @userdata is the struct settings */
int settings_add_row(struct client *client, void *userdata);

/* settings_add_set() - everything in a rule set; Return: 0 or -ENOMEM */
int settings_add_set(struct settings *settings, const struct rule_set *set);

/* settings_sort() - by name, section, key, value, so that two lists can be compared */
void settings_sort(struct settings *settings);

/* setting_compare() - the order of settings_sort(); file and line do not count */
int setting_compare(const struct setting *a, const struct setting *b);

/* settings_find() - in a sorted list: the index of the first setting of a name, or of the first name after it */
size_t settings_find(const struct settings *settings, const char *name);

/* settings_count_changes() - between two sorted lists; defaults are not counted, they follow from other settings */
void settings_count_changes(
	const struct settings *old, const struct settings *new, size_t *ret_added, size_t *ret_removed);

/* setting_source() - "file:line", or "default" */
const char *setting_source(const struct setting *setting, char *text, size_t size);
