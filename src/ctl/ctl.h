/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * usherctl: the command line
 *
 * Each verb has a file, or a folder if it is large. verbs.def and options.def are the tables of verbs and options. A
 * verb is called with a command line that was checked against these tables.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../util/instance.h"

/* Exit codes, as in usherctl(1). EXIT_SUCCESS and EXIT_FAILURE are 0 and 1. */
enum {
	EXIT_USAGE = 2,		 /* the command line is wrong */
	EXIT_NOT_RUNNING = 3,	 /* there is no broker */
	EXIT_UNDECIDED = 4,	 /* explain: it depends on what was not looked at */
	EXIT_BAD_DATA = 65,	 /* EX_DATAERR: rule files have errors */
	EXIT_NO_PERMISSION = 77, /* EX_NOPERM: the broker or the kernel denied permission */
	EXIT_BAD_CONFIG = 78,	 /* EX_CONFIG: what the service manager passed ($LISTEN_FDS…) is unusable */
	EXIT_CANNOT_RUN = 126,	 /* COMMAND cannot be executed */
	EXIT_NO_COMMAND = 127,	 /* COMMAND does not exist */
};

/* The command line. Strings point into argv. */
struct ctl {
	bool json, no_legend;
	const char *instance_name; /* "" for the default instance */
	struct instance instance;
	const char *socket; /* of the broker */
	int timeout_ms;	    /* 0: the default of the request */
	bool hold, strict, again, listen_fds, if_broker, if_held, dry_run, no_listeners;
	enum { GRAPH_NONE, GRAPH_TREE, GRAPH_DOT } graph;
	unsigned long count;	       /* --count; 0: unlimited */
	int interval_ms;	       /* --interval; 0: the default */
	const char *sort;	       /* --sort, or NULL */
	const char *from;	       /* --from, or NULL */
	const char *device, *mark;     /* --device, --mark, or NULL */
	const char *protocol, *family; /* --protocol, --family, or NULL */
	const char *stand_in;	       /* --stand-in, or NULL */
	const char *unit;	       /* --unit, or NULL */
	unsigned long members;	       /* --members; 0: one */
	int *fds;		       /* --fd, in order */
	size_t n_fds;
	const char *const *names; /* arguments of the verb; NULL-terminated */
	size_t n_names;
	char *const *command; /* COMMAND, NULL-terminated, or NULL */
};

/* verb_status() and so on - execute the verb; Return: an exit code */
#define VERB(id, ...) int verb_##id(const struct ctl *ctl);
#include "verbs.def"
