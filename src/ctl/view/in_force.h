/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The rules in force as a rule set, from the settings that the broker lists
 *
 * The files may say something else by now, or be bad. Who asks what happens to a packet means these rules.
 */

#include "settings.h"

/*
 * in_force_parse() - @settings: of whole rules, in the order of the broker
 * @ret: with the files and lines from which the broker has read the rules; to be freed with rule_set_free()
 *
 * Return: 0, RULE_BAD (this usherctl does not know a setting that the broker knows), or -ENOMEM.
 */
int in_force_parse(const struct settings *settings, struct rule_set **ret);
