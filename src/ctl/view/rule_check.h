/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Whether rules that were read can be put in force */

#include "../../image/image.h"

/*
 * rule_check() - everything about a rule set that its files alone do not show: conflicts, users that do not exist
 * @ret_image: what was compiled, to be freed with image_free(); set on 0 only
 *
 * Return: 0, RULE_BAD, or a negative errno.
 */
int rule_check(const struct rule_set *set, struct image **ret_image, struct problems *problems);

/* rule_check_print_problems() - lines "file:line: text" on standard error */
void rule_check_print_problems(const struct problems *problems);
