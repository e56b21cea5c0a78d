/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctl.h"

/* Outcomes of options_parse() besides 0 */
enum {
	OPTIONS_USAGE = 1, /* wrong, and said so on standard error */
	OPTIONS_HELP,	   /* --help */
	OPTIONS_VERSION,   /* --version */
};

/*
 * options_parse() - read the command line and check it against the table of verbs
 * @ret: to be released with options_deinit() on any result; its strings are argv's
 *
 * Options may stand before and behind the verb. Behind it, the first argument that the verb cannot take itself starts
 * COMMAND for a verb that has one name at most; `--` does for every verb that takes COMMAND.
 *
 * Return: 0, an outcome, or -ENOMEM.
 */
int options_parse(int argc, char **argv, struct ctl *ret, const struct verb **ret_verb);
void options_deinit(struct ctl *ctl);
