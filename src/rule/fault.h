/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Names whose rule file could not be used when the rules were read
 *
 * Only a start goes on without a bad file: there are other names to serve (files_load_good()).
 */

#include "rule.h"

struct rule_fault {
	char *name; /* NULL: any name that has no rule, because a whole directory could not be read */
	char *text; /* "file:line: reason" */
};

/* fault_add() - note it; the first one of a name stays. Return: 0 or -ENOMEM */
int fault_add(struct rule_set *set, const char *name, const char *text);

/* fault_find_own() - what is wrong with the file of this name; NULL: nothing */
const char *fault_find_own(const struct rule_set *set, const char *name);

/* fault_find() - what is wrong with the file of a name, or may be; NULL: nothing */
const char *fault_find(const struct rule_set *set, const char *name);

void faults_deinit(struct rule_set *set);
