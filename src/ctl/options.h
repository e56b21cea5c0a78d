/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The command line, and the table of options, options.def, for C */

#include "ctl.h"
#include "verbs.h"

/* Outcomes of options_parse() besides 0 */
enum {
	OPTIONS_USAGE = 1, /* the line is wrong, and a complaint has been printed */
	OPTIONS_HELP,	   /* --help */
	OPTIONS_VERSION,   /* --version */
};

enum {
#define OPTION(id, ...) OPTION_##id,
#include "options.def"
	OPTIONS
};

/* The verb as a bit of ctl_option.verbs */
#define FOR(id) (1U << VERB_##id)

struct ctl_option {
	const char *name;     /* without the dashes */
	const char *help;     /* one line, without a full stop */
	unsigned verbs;	      /* that accept it, as bits; 0: all of them */
	char letter;	      /* short form, or 0 */
	const char *argument; /* name of its argument, or NULL if it has none */
	bool optional;	      /* the argument may be left out */
	bool repeats;
	bool is_path;	    /* the argument is a path */
	const char *values; /* the words that the argument may be, or NULL if it may be any */
	int outcome;	    /* of options_parse() as soon as the option is read, or 0 */
	int (*read)(struct ctl *ctl, size_t member, const char *text); /* returns 0, an outcome, or -ENOMEM */
	size_t member; /* the offset in struct ctl that read() sets; only for SET and KEEP */
};

extern const struct ctl_option ctl_options[OPTIONS];

/* option_is_for() - whether the verb accepts the option */
static inline bool option_is_for(const struct ctl_option *option, const struct verb *verb)
{
	return !option->verbs || option->verbs >> (verb - verbs) & 1;
}

/*
 * options_parse() - read the command line and check it against the tables
 * @ret: to be released with options_deinit() on any result; its strings are argv's
 * @ret_verb: set on success; for OPTIONS_HELP the verb before --help, or NULL
 *
 * Options may appear before or after the verb. `--` starts COMMAND for every verb that takes COMMAND. Without it,
 * COMMAND starts after the last name that the verb can take.
 *
 * Return: 0, an outcome, or -ENOMEM.
 */
int options_parse(int argc, char **argv, struct ctl *ret, const struct verb **ret_verb);
void options_deinit(struct ctl *ctl);
