/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: generator bash|zsh|fish TEMPLATE
 *
 * Prints the template of a shell with the tables of verbs and options in place of its line @TABLES@. It runs on the
 * build machine, and uses nothing of src but the tables.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../options.h"
#include "../verbs.h"

const struct verb verbs[VERBS] = {
#define VERB(id, ...) {NULL, __VA_ARGS__},
#include "../verbs.def"
};

/* The generator reads no command line, so the readers are left out. */
#define SET(name)
#define KEEP(name)
#define READ(function)
#define END(value) .outcome = value

const struct ctl_option ctl_options[OPTIONS] = {
#define OPTION(id, reader, ...) {__VA_ARGS__, reader},
#include "../options.def"
};

/* ---- what all shells need */

/* No limit: a number greater than a command line can hold */
#define NAMES_WITHOUT_LIMIT 1000000UL

static unsigned long names_max(const struct verb *verb)
{
	return verb->names_max == MANY ? NAMES_WITHOUT_LIMIT : verb->names_max;
}

/* The options that only some verbs accept, if this verb does; without a verb, those that all verbs accept */
static size_t options_of(const struct verb *verb, const struct ctl_option *ret[static OPTIONS])
{
	size_t n = 0;

	for (size_t i = 0; i < OPTIONS; i++)
		if (verb ? ctl_options[i].verbs && option_is_for(&ctl_options[i], verb)
			 : !ctl_options[i].verbs)
			ret[n++] = &ctl_options[i];
	return n;
}

/* Text between single quotes: `'` becomes @quote, and each character of @special gets a backslash. */
static void print_escaped(const char *text, const char *quote, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'') {
			(void)printf("%s", quote);
			continue;
		}
		if (strchr(special, *text))
			(void)printf("\\");
		(void)printf("%c", *text);
	}
}

/* The options whose value is the next word */
static void print_valued(void)
{
	const char *before = "";

	for (size_t i = 0; i < OPTIONS; i++) {
		if (!ctl_options[i].argument || ctl_options[i].optional)
			continue;
		(void)printf("%s--%s", before, ctl_options[i].name);
		before = " ";
	}
}

/* ---- bash: functions that set variables of _usherctl */

static void print_bash_option(const struct ctl_option *option)
{
	if (option->letter)
		(void)printf(" -%c", option->letter);
	(void)printf(" --%s", option->name);
	if (!option->optional || !option->values)
		return;
	for (const char *value = option->values; *value; value += strspn(value, " ")) {
		int length = (int)strcspn(value, " ");

		(void)printf(" --%s=%.*s", option->name, length, value);
		value += length;
	}
}

static void print_bash_verb(const struct verb *verb)
{
	static const char *const takes[] = {"", "names", "packet", "paths", "verb"};
	const struct ctl_option *options[OPTIONS];
	size_t n = options_of(verb, options);

	(void)printf("\t%s) options+='", verb->name);
	for (size_t i = 0; i < n; i++)
		print_bash_option(options[i]);
	(void)printf("' takes='%s' max=%lu command=%s ;;\n", takes[verb->takes], names_max(verb),
		verb->command == COMMAND_NONE ? "''" : "yes");
}

static void print_bash(void)
{
	const struct ctl_option *options[OPTIONS];
	size_t n = options_of(NULL, options);

	(void)printf("_usherctl_table() { # VERB\n\tverbs='");
	for (size_t i = 0; i < VERBS; i++)
		(void)printf(" %s", verbs[i].name);
	(void)printf("'\n\tvalued='");
	print_valued();
	(void)printf("'\n\toptions='");
	for (size_t i = 0; i < n; i++)
		print_bash_option(options[i]);
	(void)printf("'\n\tcase $1 in\n");
	for (size_t i = 0; i < VERBS; i++)
		print_bash_verb(&verbs[i]);
	(void)printf("\tesac\n}\n\n_usherctl_value() { # OPTION\n\tcase $1 in\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		if (ctl_options[i].values)
			(void)printf("\t--%s) words='%s' ;;\n", ctl_options[i].name, ctl_options[i].values);
		if (ctl_options[i].is_path)
			(void)printf("\t--%s) takes=paths ;;\n", ctl_options[i].name);
	}
	(void)printf("\tesac\n}\n");
}

/* ---- zsh: specifications of _describe and _arguments */

#define ZSH_QUOTE "'\\''"

static void print_zsh_option(const struct ctl_option *option)
{
	(void)printf("\t\t'");
	if (option->outcome)
		(void)printf("(- *)");
	else if (option->letter)
		(void)printf("(-%c --%s)", option->letter, option->name);
	if (option->repeats)
		(void)printf("*");
	if (option->letter)
		(void)printf("'{-%c,--%s}'", option->letter, option->name);
	else
		(void)printf("--%s", option->name);
	if (option->argument)
		(void)printf("%s", option->optional ? "=-" : "=");
	(void)printf("[");
	print_escaped(option->help, ZSH_QUOTE, "[]\\");
	(void)printf("]");
	if (option->argument) {
		(void)printf("%s", option->optional ? "::" : ":");
		print_escaped(option->argument, ZSH_QUOTE, ":\\");
		if (option->values)
			(void)printf(":(%s)", option->values);
		else
			(void)printf(":%s", option->is_path ? "_files" : " ");
	}
	(void)printf("'\n");
}

static void print_zsh_options(const struct verb *verb)
{
	const struct ctl_option *options[OPTIONS];
	size_t n = options_of(verb, options);

	if (!n)
		return;
	(void)printf("\toptions+=(\n");
	for (size_t i = 0; i < n; i++)
		print_zsh_option(options[i]);
	(void)printf("\t)\n");
}

static const char *zsh_arguments(const struct verb *verb)
{
	switch (verb->takes) {
	case TAKES_PACKET:
		return "'2:protocol:(tcp udp)' '3:address and port: '";
	case TAKES_PATHS:
		return "'*:rule file or directory:_files'";
	case TAKES_NAMES:
		return verb->names_max == MANY ? "'*:name:_usherctl_names'" : "'2:name:_usherctl_names'";
	case TAKES_VERB:
		return "'2:verb:_usherctl_verbs'";
	case TAKES_NOTHING:
		break;
	}
	return "";
}

static void print_zsh(void)
{
	(void)printf("_usherctl_verbs() {\n\tlocal -a verbs=(\n");
	for (size_t i = 0; i < VERBS; i++) {
		(void)printf("\t\t'%s:", verbs[i].name);
		print_escaped(verbs[i].help, ZSH_QUOTE, ":\\");
		(void)printf("'\n");
	}
	(void)printf("\t)\n\t_describe -t verbs verb verbs\n}\n\n_usherctl_table() { # VERB\n\tvalued=(");
	print_valued();
	(void)printf(")\n\toptions=()\n\targuments=()\n");
	print_zsh_options(NULL);
	(void)printf("\tcase $1 in\n");
	for (size_t i = 0; i < VERBS; i++) {
		(void)printf("\t%s)\n", verbs[i].name);
		print_zsh_options(&verbs[i]);
		(void)printf("\targuments=(%s%s)\n\t;;\n", zsh_arguments(&verbs[i]),
			verbs[i].command == COMMAND_ALLOWED ? " '*:::command:_normal'" : "");
	}
	(void)printf("\tesac\n}\n");
}

/* ---- fish: a command `complete` for each verb and option */

static void print_fish_help(const char *help)
{
	(void)printf(" -d '");
	print_escaped(help, "\\'", "\\");
	(void)printf("'\n");
}

static void print_fish_option(const struct ctl_option *option)
{
	(void)printf("complete -c usherctl -n '__usherctl_accepts");
	for (size_t i = 0; option->verbs && i < VERBS; i++)
		if (option_is_for(option, &verbs[i]))
			(void)printf(" %s", verbs[i].name);
	(void)printf("' -l %s", option->name);
	if (option->letter)
		(void)printf(" -s %c", option->letter);
	if (option->argument && !option->optional)
		(void)printf(" %s", option->is_path ? "-rF" : "-x");
	if (option->values)
		(void)printf(" -a '%s'", option->values);
	print_fish_help(option->help);
}

static void print_fish_arguments(const struct verb *verb)
{
	static const char *const arguments[] = {
		"", "-a '(__usherctl_names)' -d name", "-a 'tcp udp' -d protocol", "-F"};

	if (verb->takes == TAKES_VERB) {
		(void)printf("complete -c usherctl -n '__usherctl_takes %s 1' -a '", verb->name);
		for (size_t i = 0; i < VERBS; i++)
			(void)printf("%s%s", i ? " " : "", verbs[i].name);
		(void)printf("' -d verb\n");
	} else if (verb->takes != TAKES_NOTHING)
		(void)printf("complete -c usherctl -n '__usherctl_takes %s %lu' %s\n", verb->name,
			verb->takes == TAKES_PACKET ? 1UL : names_max(verb), arguments[verb->takes]);
}

static void print_fish(void)
{
	(void)printf("set -g __usherctl_valued ");
	print_valued();
	(void)printf("\n\nfunction __usherctl_names_before_command # VERB\n\tswitch $argv[1]\n");
	for (size_t i = 0; i < VERBS; i++)
		if (verbs[i].command != COMMAND_NONE)
			(void)printf("\t\tcase %s\n\t\t\techo %lu\n", verbs[i].name, names_max(&verbs[i]));
	(void)printf("\tend\nend\n\n");
	for (size_t i = 0; i < VERBS; i++) {
		(void)printf("complete -c usherctl -n __usherctl_needs_verb -a %s", verbs[i].name);
		print_fish_help(verbs[i].help);
	}
	for (size_t i = 0; i < OPTIONS; i++)
		print_fish_option(&ctl_options[i]);
	for (size_t i = 0; i < VERBS; i++)
		print_fish_arguments(&verbs[i]);
}

/* ---- */

static const struct shell {
	const char *name;
	void (*print)(void);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}, {NULL, NULL}};

int main(int argc, char **argv)
{
	FILE *template = argc == 3 ? fopen(argv[2], "r") : NULL;
	const struct shell *shell = shells;
	char line[512];

	while (shell->name && strcmp(shell->name, argc > 1 ? argv[1] : "") != 0)
		shell++;
	if (!template || !shell->name) {
		(void)fprintf(stderr, "usage: generator bash|zsh|fish TEMPLATE\n");
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), template)) {
		if (strcmp(line, "@TABLES@\n") == 0)
			shell->print();
		else
			(void)printf("%s", line);
	}
	return ferror(template) || fclose(template) || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
