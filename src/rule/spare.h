/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Copies of the rule files that are in force, in a directory of the broker's own
 *
 * After a switch, each file that was read for it is copied. A start that finds an error in a file takes the copy for the
 * dispatch: the name goes on as it was (files_load_good()).
 */

#include "rule.h"

/*
 * spare_save() - make the copies those of a rule set that came into force, and free the texts of its rules
 * @folder: is made if it does not exist
 * @before: the set that was in force; NULL: not known, whatever else is in the folder is removed
 *
 * A copy is replaced whole, or removed when that fails: an old one would not be what was in force.
 *
 * Return: 0, or the negative errno of the first failure.
 */
int spare_save(const char *folder, const struct rule_set *before, struct rule_set *set);
