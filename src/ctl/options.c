/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "../util/array.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/protocol.h"
#include "complain.h"
#include "suggest.h"

#define TIMEOUT_MAX_S 86400UL
#define COUNT_MAX 1000000000UL
#define MEMBERS_MAX 64UL
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0

/* What was read in addition to struct ctl */
struct reading {
	const struct verb *verb;
	const char **names;
	size_t n_choices; /* names with = */
	unsigned options; /* the options given, as bits */
};

#define usage(...) (complain(__VA_ARGS__), OPTIONS_USAGE)
#define SEE_HELP "see usherctl --help"
#define SEE_VERB "see usherctl %s --help"

/* ---- readers */

static int set_flag(struct ctl *ctl, size_t member, const char *text)
{
	(void)text;
	*(bool *)((char *)ctl + member) = true;
	return 0;
}

static int keep_text(struct ctl *ctl, size_t member, const char *text)
{
	*(const char **)((char *)ctl + member) = text;
	return 0;
}

static int read_fd(struct ctl *ctl, size_t member, const char *text)
{
	unsigned long fd;

	(void)member;
	if (text_to_uint(text, INT_MAX, &fd) < 0)
		return usage("bad option --fd '%s': not a descriptor number (EINVAL); " SEE_HELP, text);
	for (size_t i = 0; i < ctl->n_fds; i++)
		if (ctl->fds[i] == (int)fd)
			return usage("bad option --fd '%s': given twice (EINVAL); give each descriptor once",
				text);
	if (ARRAY_RESERVE(ctl->fds, ctl->n_fds) < 0)
		return -ENOMEM;
	ctl->fds[ctl->n_fds++] = (int)fd;
	return 0;
}

static int read_timeout(struct ctl *ctl, size_t member, const char *text)
{
	unsigned long seconds;

	(void)member;
	if (text_to_uint(text, TIMEOUT_MAX_S, &seconds) < 0 || seconds == 0)
		return usage(
			"bad option --timeout '%s': not a whole number of seconds from 1 to %lu (EINVAL)",
			text, TIMEOUT_MAX_S);
	ctl->timeout_ms = (int)seconds * 1000;
	return 0;
}

static int read_members(struct ctl *ctl, size_t member, const char *text)
{
	(void)member;
	if (text_to_uint(text, MEMBERS_MAX, &ctl->members) == 0 && ctl->members)
		return 0;
	return usage("bad option --members '%s': not a number from 1 to %lu (EINVAL)", text, MEMBERS_MAX);
}

static int read_count(struct ctl *ctl, size_t member, const char *text)
{
	(void)member;
	if (text_to_uint(text, COUNT_MAX, &ctl->count) == 0 && ctl->count)
		return 0;
	return usage("bad option --count '%s': not a number from 1 to %lu (EINVAL)", text, COUNT_MAX);
}

/* LC_NUMERIC is not set, so the decimal separator is a point in every locale. */
static int read_interval(struct ctl *ctl, size_t member, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	(void)member;
	if (end == text || *end || !(seconds >= INTERVAL_MIN_S && seconds <= INTERVAL_MAX_S))
		return usage("bad option --interval '%s': not a number of seconds from %.1f to %.0f (EINVAL)",
			text, INTERVAL_MIN_S, INTERVAL_MAX_S);
	ctl->interval_ms = (int)(seconds * 1000);
	return 0;
}

static int read_graph(struct ctl *ctl, size_t member, const char *text)
{
	(void)member;
	if (!text || strcmp(text, "tree") == 0)
		ctl->graph = GRAPH_TREE;
	else if (strcmp(text, "dot") == 0)
		ctl->graph = GRAPH_DOT;
	else
		return usage("bad option --graph '%s': not 'tree' or 'dot' (EINVAL); " SEE_HELP, text);
	return 0;
}

#define SET(name) .read = set_flag, .member = offsetof(struct ctl, name)
#define KEEP(name) .read = keep_text, .member = offsetof(struct ctl, name)
#define READ(function) .read = function
#define END(value) .outcome = value

const struct ctl_option ctl_options[OPTIONS] = {
#define OPTION(id, reader, ...) {__VA_ARGS__, reader},
#include "options.def"
};

_Static_assert(OPTIONS <= 8 * sizeof(unsigned) && VERBS <= 8 * sizeof(unsigned),
	"sets of options and of verbs are bits of an unsigned");

/* ---- the line */

/* What getopt_long() returns for the long option ctl_options[0] */
#define OPTIONS_BASE 0x100

static int option_has_arg(const struct ctl_option *option)
{
	if (!option->argument)
		return no_argument;
	return option->optional ? optional_argument : required_argument;
}

static const struct ctl_option *option_find(int found)
{
	if (found >= OPTIONS_BASE)
		return &ctl_options[found - OPTIONS_BASE];
	for (const struct ctl_option *option = ctl_options; option < ctl_options + OPTIONS; option++)
		if (option->letter == found)
			return option;
	return NULL;
}

/* An option that does not exist, or a shortened one that may be one of several */
static int complain_option(const struct verb *verb, const char *word)
{
	char name[64];
	struct suggestion suggestion = SUGGESTION(name);

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + strspn(word, "-"), "="),
		word + strspn(word, "-"));
	for (const struct ctl_option *option = ctl_options; option < ctl_options + OPTIONS; option++)
		if (!verb || option_is_for(option, verb))
			suggest(&suggestion, "--", option->name);
	if (suggestion.text[0])
		return usage("bad option '%s': there is no such option (EINVAL); did you mean %s?", word,
			suggestion.text);
	if (verb)
		return usage(
			"bad option '%s': there is no such option (EINVAL); " SEE_VERB, word, verb->name);
	return usage("bad option '%s': there is no such option (EINVAL); " SEE_HELP, word);
}

static int read_option(struct ctl *ctl, struct reading *reading, int found, const char *word)
{
	const struct ctl_option *option = option_find(found);

	if (found == ':')
		return usage("bad option '%s': it needs a value (EINVAL); " SEE_HELP, word);
	if (!option)
		return complain_option(reading->verb, word);
	if (option->outcome)
		return option->outcome;
	reading->options |= 1U << (option - ctl_options);
	return option->read(ctl, option->member, optarg);
}

/* Outcome of read_word(): COMMAND starts with this word */
enum { COMMAND_STARTS = 100 };

/* NAME=FDNAME, where the verb takes that */
static int read_choice(struct ctl *ctl, struct reading *reading, const char *word)
{
	const char *fd_name = strchr(word, '=') + 1;
	char name[NAME_LENGTH_MAX + 2];

	/* a name that does not fit is too long to be valid, even when cut */
	(void)snprintf(name, sizeof(name), "%.*s", (int)(fd_name - 1 - word), word);
	if (!name_is_valid(name))
		return usage("bad name in '%s': " NAME_RULE " (EINVAL)", word);
	if (!*fd_name || strchr(fd_name, ':'))
		return usage(
			"bad argument '%s': after = comes the name of a descriptor, as in $LISTEN_FDNAMES (EINVAL); " SEE_HELP,
			word);
	reading->names[ctl->n_names++] = word;
	reading->n_choices++;
	return 0;
}

static int read_word(struct ctl *ctl, struct reading *reading, const char *word)
{
	if (!reading->verb) {
		reading->verb = verb_find(word);
		if (reading->verb)
			return 0;
		verb_complain(word);
		return OPTIONS_USAGE;
	}
	if (reading->verb->chooses && strchr(word, '='))
		return read_choice(ctl, reading, word);
	if (ctl->n_names >= reading->verb->names_max) {
		if (reading->verb->command != COMMAND_NONE)
			return COMMAND_STARTS;
		return usage("bad argument '%s': '%s' takes no more arguments (EINVAL); " SEE_VERB, word,
			reading->verb->name, reading->verb->name);
	}
	if (reading->verb->takes == TAKES_NAMES && !name_is_valid(word))
		return usage("bad name '%s': " NAME_RULE " (EINVAL)", word);
	reading->names[ctl->n_names++] = word;
	return 0;
}

/* The table of options in the form that getopt_long() takes */
static void list_options(struct option long_options[static OPTIONS + 1], char letters[static OPTIONS + 3])
{
	/* "-" is RETURN_IN_ORDER: options and words come in order, so the options of COMMAND are left alone */
	letters = stpcpy(letters, "-:");
	for (int i = 0; i < OPTIONS; i++) {
		const struct ctl_option *option = &ctl_options[i];

		long_options[i] =
			(struct option){option->name, option_has_arg(option), NULL, OPTIONS_BASE + i};
		if (option->letter)
			*letters++ = option->letter;
	}
	*letters = '\0';
}

static int read_line(int argc, char **argv, struct ctl *ctl, struct reading *reading)
{
	struct option long_options[OPTIONS + 1] = {};
	char letters[OPTIONS + 3];
	int option, r;

	list_options(long_options, letters);
	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, letters, long_options, NULL)) >= 0) {
		if (option == 1)
			r = read_word(ctl, reading, optarg);
		else
			r = read_option(ctl, reading, option, argv[optind - 1]);
		if (r == COMMAND_STARTS) {
			ctl->command = argv + optind - 1;
			return 0;
		}
		if (r)
			return r;
	}
	/* after "--" */
	while (optind < argc && !(reading->verb && reading->verb->command != COMMAND_NONE)) {
		r = read_word(ctl, reading, argv[optind++]);
		if (r)
			return r;
	}
	if (optind < argc)
		ctl->command = argv + optind;
	return 0;
}

static int check_choices(const struct ctl *ctl, const struct reading *reading)
{
	if (ctl->n_fds > 0 && reading->n_choices)
		return usage(
			"bad argument '%s': it chooses from $LISTEN_FDS, and so does --fd (EINVAL); with --fd, give a NAME alone",
			ctl->names[0]);
	if (reading->n_choices && reading->n_choices < ctl->n_names)
		return usage(
			"bad argument '%s': a NAME alone is for all sockets (EINVAL); beside others, write NAME=FDNAME",
			ctl->names[0]);
	if (ctl->listen_fds && !(ctl->n_fds > 0 && ctl->command))
		return usage(
			"bad option '--listen-fds': it passes the descriptors of --fd on to COMMAND (EINVAL); give both");
	if (ctl->stand_in && (ctl->n_fds > 0 || ctl->hold || ctl->strict || reading->n_choices ||
				     !ctl->n_names || !ctl->command))
		return usage(
			"bad option '--stand-in': it hands one socket in, which closes when COMMAND ends (EINVAL); give a NAME and a COMMAND, and neither --fd, --hold nor --strict");
	if (ctl->unit && !name_is_of_socket_unit(ctl->unit))
		return usage(
			"bad option --unit '%s': it is not a socket unit (EINVAL); write such as web.socket",
			ctl->unit);
	if (ctl->unit && (ctl->n_names || ctl->n_fds > 0 || ctl->stand_in))
		return usage(
			"bad option '--unit': the rules that name the unit say as what its sockets are handed in (EINVAL); give no NAME, --fd or --stand-in");
	if (ctl->again &&
		(ctl->n_names || ctl->n_fds > 0 || ctl->stand_in || ctl->hold || ctl->strict || ctl->command))
		return usage(
			"bad option '--again': usher@ of the socket units hands their sockets in (EINVAL); give no other option of hand-in than --unit and --if-broker, no NAME and no COMMAND");
	if (ctl->members && !ctl->stand_in)
		return usage(
			"bad option '--members': it is for the group of a stand-in (EINVAL); give --stand-in too, or leave it out");
	return 0;
}

static int check_line(const struct ctl *ctl, const struct reading *reading)
{
	const struct verb *verb = reading->verb;

	for (int i = 0; i < OPTIONS; i++)
		if (reading->options >> i & 1 && !option_is_for(&ctl_options[i], verb))
			return usage("bad option '--%s': '%s' does not accept it (EINVAL); " SEE_VERB,
				ctl_options[i].name, verb->name, verb->name);
	if (ctl->json && ctl->graph != GRAPH_NONE)
		return usage(
			"bad option '--graph': it cannot be combined with --json (EINVAL); give one of them");
	if (ctl->n_names < verb->names_min)
		return usage("'%s' needs %s: usherctl %s %s", verb->name,
			verb->takes == TAKES_PACKET ? "more arguments" : "a name", verb->name,
			verb->arguments);
	if (verb->command == COMMAND_NEEDED && !ctl->command)
		return usage("'%s' needs a command after '--': usherctl %s %s", verb->name, verb->name,
			verb->arguments);
	if (verb->names_max == 1 && ctl->n_fds > 0 && ctl->n_names == 0)
		return usage(
			"'%s --fd' needs a name: usherctl %s %s", verb->name, verb->name, verb->arguments);
	return check_choices(ctl, reading);
}

static int set_paths(struct ctl *ctl)
{
	const char *variable = getenv(PROTOCOL_SOCKET_VARIABLE);

	if (instance_init(&ctl->instance, ctl->instance_name) < 0)
		return usage(
			"bad option --instance '%s': a name of at most 31 characters of A-Z a-z 0-9 . _ @ -, not starting with . or - (EINVAL)",
			ctl->instance_name);
	if (!ctl->socket)
		ctl->socket = variable && *variable ? variable : ctl->instance.socket;
	if (!*ctl->socket || strlen(ctl->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return usage(
			"bad socket path '%s': it must have 1 to 107 characters (ENAMETOOLONG)", ctl->socket);
	return 0;
}

int options_parse(int argc, char **argv, struct ctl *ret, const struct verb **ret_verb)
{
	struct reading reading = {};
	int r;

	*ret = (struct ctl){.instance_name = ""};
	reading.names = calloc((size_t)argc + 1, sizeof(*reading.names));
	if (!reading.names)
		return -ENOMEM;
	ret->names = reading.names;
	r = read_line(argc, argv, ret, &reading);
	if (r == OPTIONS_HELP)
		*ret_verb = reading.verb;
	if (r)
		return r;
	if (!reading.verb)
		reading.verb = &verbs[0];
	r = check_line(ret, &reading);
	if (r)
		return r;
	r = set_paths(ret);
	if (r)
		return r;
	*ret_verb = reading.verb;
	return 0;
}

void options_deinit(struct ctl *ctl)
{
	free(ctl->fds);
	free((void *)ctl->names);
	*ctl = (struct ctl){.instance_name = ""};
}
