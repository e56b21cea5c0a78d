/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rules of usher-discover: those of the files, or the previous ones if a file has errors */

#include "../access/access.h"
#include "../rule/rule.h"

struct ruleset {
	struct rule_set *rules; /* NULL before the first successful ruleset_load() */
	struct access_table *access;
};

/* Outcome of ruleset_load() besides 0 */
enum {
	RULESET_BAD = 2, /* the problems say why */
};

/*
 * ruleset_load() - the first time without the files that have errors (files_load_good()), later all or nothing
 *
 * Return: 0; or RULESET_BAD or a negative errno, and the rules have not changed.
 */
int ruleset_load(struct ruleset *set, const char *const *directories, struct problems *problems);
void ruleset_deinit(struct ruleset *set);

/* ruleset_interval() - the smallest ScanInterval= of the rules with a section [Discover], in ms; 0: there are none */
unsigned ruleset_interval(const struct ruleset *set);
