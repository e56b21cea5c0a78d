/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "../util/array.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/protocol.h"
#include "complain.h"

#define TIMEOUT_MAX_S 86400UL
#define COUNT_MAX 1000000000UL
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0

enum {
	ARG_NO_LEGEND = 0x100,
	ARG_SOCKET,
	ARG_INSTANCE,
	ARG_TIMEOUT,
	ARG_VERSION,
	ARG_FD,
	ARG_HOLD,
	ARG_IF_BROKER,
	ARG_IF_HELD,
	ARG_DRY_RUN,
	ARG_NO_LISTENERS,
	ARG_COUNT,
	ARG_INTERVAL,
	ARG_SORT,
	ARG_GRAPH,
	ARG_FROM,
};

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"no-legend", no_argument, NULL, ARG_NO_LEGEND},
	{"socket", required_argument, NULL, ARG_SOCKET},
	{"instance", required_argument, NULL, ARG_INSTANCE},
	{"timeout", required_argument, NULL, ARG_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, ARG_VERSION},
	{"fd", required_argument, NULL, ARG_FD},
	{"hold", no_argument, NULL, ARG_HOLD},
	{"if-broker", no_argument, NULL, ARG_IF_BROKER},
	{"if-held", no_argument, NULL, ARG_IF_HELD},
	{"dry-run", no_argument, NULL, ARG_DRY_RUN},
	{"no-listeners", no_argument, NULL, ARG_NO_LISTENERS},
	{"count", required_argument, NULL, ARG_COUNT},
	{"interval", required_argument, NULL, ARG_INTERVAL},
	{"sort", required_argument, NULL, ARG_SORT},
	{"graph", optional_argument, NULL, ARG_GRAPH},
	{"from", required_argument, NULL, ARG_FROM},
	{NULL},
};

/* What was read, besides struct ctl */
struct reading {
	const struct verb *verb;
	const char **names;
	unsigned options; /* OPTION_* that stand there */
	const char *socket;
};

#define usage(...) (complain(__VA_ARGS__), OPTIONS_USAGE)
#define SEE_HELP "see usherctl --help"

static const struct verb *verb_find(const char *name)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (strcmp(verb->name, name) == 0)
			return verb;
	return NULL;
}

static int read_fd(struct ctl *ctl, const char *text)
{
	unsigned long fd;

	if (text_to_uint(text, INT_MAX, &fd) < 0)
		return usage(
			"bad option --fd '%s': not the number of a descriptor (EINVAL); " SEE_HELP, text);
	for (size_t i = 0; i < ctl->n_fds; i++)
		if (ctl->fds[i] == (int)fd)
			return usage("bad option --fd '%s': given twice (EINVAL); name each descriptor once",
				text);
	if (ARRAY_RESERVE(ctl->fds, ctl->n_fds) < 0)
		return -ENOMEM;
	ctl->fds[ctl->n_fds++] = (int)fd;
	return 0;
}

static int read_timeout(struct ctl *ctl, const char *text)
{
	unsigned long seconds;

	if (text_to_uint(text, TIMEOUT_MAX_S, &seconds) < 0 || seconds == 0)
		return usage(
			"bad option --timeout '%s': not a whole number of seconds from 1 to %lu (EINVAL)",
			text, TIMEOUT_MAX_S);
	ctl->timeout_ms = (int)seconds * 1000;
	return 0;
}

static int read_count(struct ctl *ctl, const char *text)
{
	if (text_to_uint(text, COUNT_MAX, &ctl->count) == 0 && ctl->count)
		return 0;
	return usage("bad option --count '%s': not a number from 1 to %lu (EINVAL)", text, COUNT_MAX);
}

/* LC_NUMERIC is not set, so that a fraction has a point everywhere. */
static int read_interval(struct ctl *ctl, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= INTERVAL_MIN_S && seconds <= INTERVAL_MAX_S))
		return usage("bad option --interval '%s': not a number of seconds from %.1f to %.0f (EINVAL)",
			text, INTERVAL_MIN_S, INTERVAL_MAX_S);
	ctl->interval_ms = (int)(seconds * 1000);
	return 0;
}

static int read_graph(struct ctl *ctl, const char *text)
{
	if (!text || strcmp(text, "tree") == 0)
		ctl->graph = GRAPH_TREE;
	else if (strcmp(text, "dot") == 0)
		ctl->graph = GRAPH_DOT;
	else
		return usage("bad option --graph '%s': it is 'tree' or 'dot' (EINVAL); " SEE_HELP, text);
	return 0;
}

static int read_option(struct ctl *ctl, struct reading *reading, int option, const char *wrong)
{
	switch (option) {
	case 'h':
		return OPTIONS_HELP;
	case ARG_VERSION:
		return OPTIONS_VERSION;
	case 'j':
		ctl->json = true;
		return 0;
	case ARG_NO_LEGEND:
		ctl->no_legend = true;
		return 0;
	case ARG_SOCKET:
		reading->socket = optarg;
		return 0;
	case ARG_INSTANCE:
		ctl->instance_name = optarg;
		return 0;
	case ARG_TIMEOUT:
		return read_timeout(ctl, optarg);
	case ARG_FD:
		reading->options |= OPTION_FD;
		return read_fd(ctl, optarg);
	case ARG_HOLD:
		reading->options |= OPTION_HOLD;
		ctl->hold = true;
		return 0;
	case ARG_IF_BROKER:
		reading->options |= OPTION_IF_BROKER;
		ctl->if_broker = true;
		return 0;
	case ARG_IF_HELD:
		reading->options |= OPTION_IF_HELD;
		ctl->if_held = true;
		return 0;
	case ARG_DRY_RUN:
		reading->options |= OPTION_DRY_RUN;
		ctl->dry_run = true;
		return 0;
	case ARG_NO_LISTENERS:
		reading->options |= OPTION_NO_LISTENERS;
		ctl->no_listeners = true;
		return 0;
	case ARG_COUNT:
		reading->options |= OPTION_COUNT;
		return read_count(ctl, optarg);
	case ARG_INTERVAL:
		reading->options |= OPTION_INTERVAL;
		return read_interval(ctl, optarg);
	case ARG_GRAPH:
		reading->options |= OPTION_GRAPH;
		return read_graph(ctl, optarg);
	case ARG_SORT:
		reading->options |= OPTION_SORT;
		ctl->sort = optarg;
		return 0;
	case ARG_FROM:
		reading->options |= OPTION_FROM;
		ctl->from = optarg;
		return 0;
	case ':':
		return usage("bad option '%s': it needs a value (EINVAL); " SEE_HELP, wrong);
	default:
		return usage("bad option '%s': there is none of that name (EINVAL); " SEE_HELP, wrong);
	}
}

/* Outcome of read_word(): COMMAND starts with this word */
enum { COMMAND_STARTS = 100 };

static int read_word(struct ctl *ctl, struct reading *reading, const char *word)
{
	if (!reading->verb) {
		reading->verb = verb_find(word);
		return reading->verb ? 0 : usage("unknown verb '%s' (EINVAL); " SEE_HELP, word);
	}
	if (ctl->n_names >= reading->verb->names_max) {
		if (reading->verb->command != COMMAND_NONE)
			return COMMAND_STARTS;
		return usage("one argument too many for '%s': '%s'; " SEE_HELP, reading->verb->name, word);
	}
	if (!reading->verb->words && !name_is_valid(word))
		return usage("bad name '%s': " NAME_RULE " (EINVAL)", word);
	reading->names[ctl->n_names++] = word;
	return 0;
}

/* RETURN_IN_ORDER of getopt ("-"), so that options and words are seen in their order and COMMAND's stay its own. */
static int read_line(int argc, char **argv, struct ctl *ctl, struct reading *reading)
{
	int option, r;

	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, "-:jh", long_options, NULL)) >= 0) {
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
	/* behind "--" */
	while (optind < argc && !(reading->verb && reading->verb->command != COMMAND_NONE)) {
		r = read_word(ctl, reading, argv[optind++]);
		if (r)
			return r;
	}
	if (optind < argc)
		ctl->command = argv + optind;
	return 0;
}

static int check_line(const struct ctl *ctl, const struct reading *reading)
{
	static const struct {
		unsigned bit;
		const char *text;
	} names[] = {
		{OPTION_FD, "--fd"},
		{OPTION_HOLD, "--hold"},
		{OPTION_IF_BROKER, "--if-broker"},
		{OPTION_IF_HELD, "--if-held"},
		{OPTION_DRY_RUN, "--dry-run"},
		{OPTION_NO_LISTENERS, "--no-listeners"},
		{OPTION_COUNT, "--count"},
		{OPTION_INTERVAL, "--interval"},
		{OPTION_SORT, "--sort"},
		{OPTION_GRAPH, "--graph"},
		{OPTION_FROM, "--from"},
	};
	const struct verb *verb = reading->verb;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (reading->options & ~verb->options & names[i].bit)
			return usage("bad option '%s': '%s' does not take it (EINVAL); " SEE_HELP,
				names[i].text, verb->name);
	if (ctl->json && ctl->graph != GRAPH_NONE)
		return usage("bad option '--graph': not together with --json (EINVAL); " SEE_HELP);
	if (ctl->n_names < verb->names_min)
		return usage("'%s' needs %s: usherctl %s %s", verb->name,
			verb->words ? "more arguments" : "a name", verb->name, verb->arguments);
	if (verb->command == COMMAND_NEEDED && !ctl->command)
		return usage("'%s' needs a command behind '--': usherctl %s %s", verb->name, verb->name,
			verb->arguments);
	if (verb->names_max == 1 && ctl->n_fds > 0 && ctl->n_names == 0)
		return usage(
			"'%s --fd' needs a name: usherctl %s %s", verb->name, verb->name, verb->arguments);
	return 0;
}

static int set_paths(struct ctl *ctl, const char *socket)
{
	const char *variable = getenv(PROTOCOL_SOCKET_VARIABLE);

	if (instance_init(&ctl->instance, ctl->instance_name) < 0)
		return usage(
			"bad option --instance '%s': a name of at most 31 characters of A-Z a-z 0-9 . _ @ -, not starting with . or - (EINVAL)",
			ctl->instance_name);
	ctl->socket = socket ? socket : variable && *variable ? variable : ctl->instance.socket;
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
	if (r)
		return r;
	if (!reading.verb)
		reading.verb = &verbs[0];
	r = check_line(ret, &reading);
	if (r)
		return r;
	r = set_paths(ret, reading.socket);
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
