/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "../rule/rule.h"

/*
 * check_rules() - everything about a rule set that its files alone do not show: conflicts, users that do not exist
 *
 * Return: 0, RULE_BAD, or a negative errno.
 */
int check_rules(const struct rule_set *set, struct problems *problems);

/* check_print_problems() - lines "file:line: text" on standard error */
void check_print_problems(const struct problems *problems);
