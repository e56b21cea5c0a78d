/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "../../image/image.h"

/*
 * check_rules() - everything about a rule set that its files alone do not show: conflicts, users that do not exist
 * @ret_image: what was compiled, to be freed with image_free(); set on 0 only
 *
 * Return: 0, RULE_BAD, or a negative errno.
 */
int check_rules(const struct rule_set *set, struct image **ret_image, struct problems *problems);

/* check_print_problems() - lines "file:line: text" on standard error */
void check_print_problems(const struct problems *problems);
