/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* From the text of a rule file to a rule */

#include "rule.h"

/*
 * parse_rule() - parse the text of one file
 * @name: name of the rule, valid (name.h)
 * @path: for the problems
 * @text: @size bytes, not necessarily terminated, with any content
 * @ret:  initialised on 0 only; rule_deinit() releases it
 *
 * Return: 0, RULE_BAD, or -ENOMEM.
 */
int parse_rule(const char *name, const char *path, const char *text, size_t size, struct rule *ret,
	struct problems *problems);
