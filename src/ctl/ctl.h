/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * usherctl: the command line
 *
 * One file per verb, or per group of verbs that are one thing seen from several sides; main.c has the table of them. A
 * verb is called with a command line that was checked against its line of that table, and returns an exit code.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../util/instance.h"

/* Exit codes, as in usherctl(1). EXIT_SUCCESS and EXIT_FAILURE are 0 and 1. */
enum {
	EXIT_USAGE = 2,		 /* the command line is wrong */
	EXIT_NOT_RUNNING = 3,	 /* there is no broker */
	EXIT_BAD_DATA = 65,	 /* EX_DATAERR: rule files are bad */
	EXIT_NO_PERMISSION = 77, /* EX_NOPERM: the broker or the kernel refused who asks */
	EXIT_BAD_CONFIG = 78,	 /* EX_CONFIG: what the service manager passed ($LISTEN_FDS…) is unusable */
	EXIT_CANNOT_RUN = 126,	 /* COMMAND cannot be executed */
	EXIT_NO_COMMAND = 127,	 /* COMMAND does not exist */
};

/* The command line. Strings are of argv. */
struct ctl {
	bool json, no_legend;
	const char *instance_name; /* "" for the default instance */
	struct instance instance;
	const char *socket;
	int timeout_ms; /* 0: what the request takes as a rule */
	bool hold, if_broker, if_held, dry_run, no_listeners;
	enum { GRAPH_NONE, GRAPH_TREE, GRAPH_DOT } graph;
	unsigned long count; /* --count; 0: no end */
	int interval_ms;     /* --interval; 0: the default */
	const char *sort;    /* --sort, or NULL */
	const char *from;    /* --from, or NULL */
	int *fds;	     /* --fd, in order */
	size_t n_fds;
	const char *const *names; /* arguments of the verb; NULL-terminated */
	size_t n_names;
	char *const *command; /* COMMAND, NULL-terminated, or NULL */
};

/* Options that belong to some verbs only */
#define OPTION_FD 0x01U
#define OPTION_HOLD 0x02U
#define OPTION_IF_BROKER 0x04U
#define OPTION_IF_HELD 0x08U
#define OPTION_DRY_RUN 0x10U
#define OPTION_NO_LISTENERS 0x20U
#define OPTION_COUNT 0x40U
#define OPTION_INTERVAL 0x80U
#define OPTION_SORT 0x100U
#define OPTION_GRAPH 0x200U
#define OPTION_FROM 0x400U

struct verb {
	const char *name;
	int (*function)(const struct ctl *ctl); /* returns an exit code */
	const char *arguments;			/* for the help text */
	const char *description;
	size_t names_min, names_max;
	unsigned options; /* OPTION_* */
	enum { COMMAND_NONE, COMMAND_ALLOWED, COMMAND_NEEDED } command;
	bool words; /* the arguments are not names: paths, addresses */
};

/* The table of verbs; ends with a name of NULL. The first one is the default. */
extern const struct verb verbs[];

int verb_status(const struct ctl *ctl);
int verb_list(const struct ctl *ctl);
int verb_rules(const struct ctl *ctl);
int verb_metrics(const struct ctl *ctl);
int verb_show(const struct ctl *ctl);
int verb_explain(const struct ctl *ctl);
int verb_check(const struct ctl *ctl);
int verb_cat_config(const struct ctl *ctl);
int verb_diff(const struct ctl *ctl);
int verb_reload(const struct ctl *ctl);
int verb_hand_in(const struct ctl *ctl);
int verb_withdraw(const struct ctl *ctl);
int verb_claim(const struct ctl *ctl);
int verb_discover(const struct ctl *ctl);
int verb_detach(const struct ctl *ctl);
int verb_monitor(const struct ctl *ctl);
int verb_top(const struct ctl *ctl);
int verb_doctor(const struct ctl *ctl);
int verb_help(const struct ctl *ctl);
