/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Can rules that were read be put in force? */

#include "../../image/image.h"

/*
 * rule_check() - find what is wrong with a rule set beyond its single files: conflicts
 * @ret_image: the compiled rules, to be freed with image_free(); set only on 0
 *
 * Return: 0, RULE_BAD, or a negative errno.
 */
int rule_check(const struct rule_set *set, struct image **ret_image, struct problems *problems);

/* rule_check_accounts() - a warning for each user and group that this host does not know; Return: 0 or -ENOMEM */
int rule_check_accounts(const struct rule_set *set, struct problems *warnings);

/* rule_check_print_warnings() - lines "file:line: warning: text" on standard error */
void rule_check_print_warnings(const struct problems *warnings);

/* rule_check_warn_stray() - such lines about files of these directories that are not read; Return: 0 or -ENOMEM */
int rule_check_warn_stray(const char *const *dirs);

/* rule_check_print_problems() - lines "file:line: text" on standard error */
void rule_check_print_problems(const struct problems *problems);
