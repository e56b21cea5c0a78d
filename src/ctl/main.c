/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bpf/usher-bpf.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../wire/protocol.h"
#include "complain.h"
#include "ctl.h"
#include "options.h"

#define MANY SIZE_MAX

const struct verb verbs[] = {
	{"status", verb_status, "", "Is the broker well, is dispatch in place"},
	{"list", verb_list, "[NAME…]", "The sockets under each name, and what is missing", .names_max = MANY,
		.options = OPTION_GRAPH},
	{"rules", verb_rules, "[NAME…]", "The matches in force, the strongest first", .names_max = MANY},
	{"show", verb_show, "NAME", "All about a name, as KEY=VALUE", .names_min = 1, .names_max = 1},
	{"explain", verb_explain, "PROTO ADDRESS:PORT", "Where a packet goes, and why", .names_min = 2,
		.names_max = 2, .options = OPTION_FROM, .words = true},
	{"metrics", verb_metrics, "", "All that is measured, as OpenMetrics text"},
	{"check", verb_check, "[PATH…]", "Check rule files, without the broker", .names_max = MANY,
		.options = OPTION_NO_LISTENERS, .words = true},
	{"cat-config", verb_cat_config, "", "Print the rule files that count"},
	{"diff", verb_diff, "", "What a reload would change"},
	{"reload", verb_reload, "", "Put the rule files in force"},
	{"hand-in", verb_hand_in, "[NAME] [--] [COMMAND…]", "Hand sockets in, then execute COMMAND",
		.names_max = 1, .options = OPTION_FD | OPTION_HOLD | OPTION_IF_BROKER,
		.command = COMMAND_ALLOWED},
	{"withdraw", verb_withdraw, "NAME", "Take sockets out", .names_min = 1, .names_max = 1,
		.options = OPTION_FD | OPTION_IF_BROKER},
	{"claim", verb_claim, "NAME… -- COMMAND…", "Execute COMMAND with the sockets held for it",
		.names_min = 1, .names_max = MANY, .options = OPTION_IF_BROKER | OPTION_IF_HELD,
		.command = COMMAND_NEEDED},
	{"discover", verb_discover, "[NAME…]", "Hand in what daemons listen on, by [Discover]",
		.names_max = MANY, .options = OPTION_DRY_RUN},
	{"monitor", verb_monitor, "[NAME…]", "What happens, as it happens", .names_max = MANY,
		.options = OPTION_COUNT},
	{"top", verb_top, "[NAME…]", "What each name gets, refreshed in place", .names_max = MANY,
		.options = OPTION_COUNT | OPTION_INTERVAL | OPTION_SORT},
	{"doctor", verb_doctor, "", "What is in the way of usher, and what to do about it"},
	{"detach", verb_detach, "", "Remove everything of usher's from the kernel"},
	{"help", verb_help, "", "Print this text"},
	{},
};

int verb_help(const struct ctl *ctl)
{
	(void)ctl;
	(void)printf("usherctl [OPTION…] [VERB] [ARGUMENT…]\n\n"
		     "Ask usherd what it does, hand sockets in, work on rules. Without a VERB: status.\n\n");
	for (const struct verb *verb = verbs; verb->name; verb++) {
		/* the ellipsis is three bytes and one column */
		int width = 24;

		for (const char *c = verb->arguments; *c; c++)
			width += ((unsigned char)*c & 0xc0) == 0x80;
		(void)printf("  %-10s %-*s %s\n", verb->name, width, verb->arguments, verb->description);
	}
	(void)printf("\n"
		     "  --graph[=dot]      list: rules, names, sockets and units as a tree, or for graphviz\n"
		     "  --from SOURCE      explain: ADDRESS:PORT that the packet comes from\n"
		     "  --fd N             hand-in, withdraw: descriptor N; may be repeated\n"
		     "  --hold             hand-in: the broker keeps a duplicate\n"
		     "  --if-broker        hand-in, withdraw, claim: no broker is fine\n"
		     "  --if-held          claim: nothing held is fine\n"
		     "  --dry-run          discover: hand nothing in, show what would be\n"
		     "  --no-listeners     check: do not look at what listens already\n"
		     "  --count N          monitor, top: end after N events or screens\n"
		     "  --interval SECONDS top: between two screens, such as 0.5\n"
		     "  --sort COLUMN      top: lookups, missing, refused or name\n"
		     "  -j --json          print JSON\n"
		     "  --no-legend        print neither headings nor a summary\n"
		     "  --instance NAME    speak to that instance of usherd\n"
		     "  --socket PATH      speak to the broker at this socket\n"
		     "  --timeout SECONDS  give up after this time\n"
		     "  -h --help          print this text\n"
		     "  --version          print the versions of program, protocol and schema\n\n"
		     "See usherctl(1).\n");
	return EXIT_SUCCESS;
}

static int print_version(void)
{
	(void)printf("usherctl " USHER_VERSION ", protocol %u, schema %u\n", PROTOCOL_VERSION, USHER_SCHEMA);
	return EXIT_SUCCESS;
}

/*
 * Nothing that we open may become standard input, output or error. What is opened here in their place fails to read
 * or to write with EBADF as the closed descriptor would, and a COMMAND finds them closed again.
 */
static void reserve_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

/* Output that did not arrive is a failure; a reader that has seen enough is told nothing. */
static int finish(int code)
{
	int error = fflush(stdout) == 0 ? 0 : errno;

	if (!error && !ferror(stdout))
		return code;
	if (!error)
		error = EIO; /* an earlier write failed and its errno is gone */
	if (error != EPIPE)
		complain("cannot write to standard output: %s (%s)", errno_text(error), errno_name(error));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	_cleanup_(options_deinit) struct ctl ctl = {};
	const struct verb *verb = NULL;
	int r;

	reserve_standard_fds();
	/* not LC_NUMERIC: a number has a point everywhere */
	(void)setlocale(LC_CTYPE, "");
	r = options_parse(argc, argv, &ctl, &verb);
	switch (r) {
	case 0:
		return finish(verb->function(&ctl));
	case OPTIONS_HELP:
		return finish(verb_help(&ctl));
	case OPTIONS_VERSION:
		return finish(print_version());
	case OPTIONS_USAGE:
		return EXIT_USAGE;
	default:
		return complain_memory();
	}
}
