/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl help, and --help: the text comes from the tables of verbs and options */

#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* "…" is three bytes and one column. */
static int columns_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_padded(const char *text, int width)
{
	(void)printf("%s%*s", text, width - columns_of(text), "");
}

static void print_verbs(void)
{
	char texts[VERBS][64];
	int width = 0;

	for (int i = 0; i < VERBS; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%-10s %s", verbs[i].name, verbs[i].arguments);
		width = columns_of(texts[i]) > width ? columns_of(texts[i]) : width;
	}
	for (int i = 0; i < VERBS; i++) {
		(void)printf("  ");
		print_padded(texts[i], width);
		(void)printf("  %s\n", verbs[i].help);
	}
}

/* "-j, --json", "--fd N", "--graph[=FORM]" */
static void format_option(const struct ctl_option *option, char *ret, size_t size)
{
	char letter[] = "-?, ";
	const char *argument = option->argument ? option->argument : "";
	const char *before = !option->argument ? "" : option->optional ? "[=" : " ";

	letter[1] = option->letter;
	(void)snprintf(ret, size, "%s--%s%s%s%s", option->letter ? letter : "", option->name, before,
		argument, option->optional ? "]" : "");
}

/* " (hand-in, withdraw)" */
static void print_verbs_of(const struct ctl_option *option)
{
	const char *before = " (";

	if (!option->verbs)
		return;
	for (int i = 0; i < VERBS; i++) {
		if (!option_is_for(option, &verbs[i]))
			continue;
		(void)printf("%s%s", before, verbs[i].name);
		before = ", ";
	}
	(void)printf(")");
}

/* The options that the verb accepts, or all options with their verbs */
static void print_options(const struct verb *verb)
{
	char texts[OPTIONS][64];
	int width = 0;

	for (int i = 0; i < OPTIONS; i++) {
		format_option(&ctl_options[i], texts[i], sizeof(texts[i]));
		width = columns_of(texts[i]) > width ? columns_of(texts[i]) : width;
	}
	for (int i = 0; i < OPTIONS; i++) {
		if (verb && !option_is_for(&ctl_options[i], verb))
			continue;
		(void)printf("  ");
		print_padded(texts[i], width);
		(void)printf("  %s", ctl_options[i].help);
		if (!verb)
			print_verbs_of(&ctl_options[i]);
		(void)printf("\n");
	}
}

int help_print(const struct verb *verb)
{
	if (verb) {
		(void)printf("usherctl [OPTION…] %s%s%s\n\n%s.\n\n", verb->name, *verb->arguments ? " " : "",
			verb->arguments, verb->help);
	} else {
		(void)printf("usherctl [OPTION…] [VERB] [ARGUMENT…]\n\n"
			     "Query usherd, hand sockets in, work on rules. The default VERB is %s.\n\n",
			verbs[0].name);
		print_verbs();
		(void)printf("\n");
	}
	print_options(verb);
	(void)printf("\nOptions may appear before or after the verb.");
	if (!verb || verb->command != COMMAND_NONE)
		(void)printf(" Everything after -- is COMMAND and is not parsed.");
	(void)printf("\nSee usherctl(1).\n");
	return EXIT_SUCCESS;
}

int verb_help(const struct ctl *ctl)
{
	const struct verb *verb = ctl->n_names ? verb_find(ctl->names[0]) : NULL;

	if (!verb && ctl->n_names) {
		verb_complain(ctl->names[0]);
		return EXIT_USAGE;
	}
	return help_print(verb);
}
