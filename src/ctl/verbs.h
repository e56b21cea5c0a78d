/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The table of verbs, verbs.def, for C */

#include <stddef.h>
#include <stdint.h>

#include "ctl.h"

#define MANY SIZE_MAX

enum {
#define VERB(id, ...) VERB_##id,
#include "verbs.def"
	VERBS
};

struct verb {
	int (*function)(const struct ctl *ctl); /* returns an exit code */
	const char *name;
	const char *arguments; /* for the help text */
	const char *help;      /* one line, without a full stop */
	size_t names_min, names_max;
	enum {
		TAKES_NOTHING,
		TAKES_NAMES,
		TAKES_PACKET,
		TAKES_PATHS,
		TAKES_VERB
	} takes;      /* the kind of its arguments */
	bool chooses; /* a name may be NAME=FDNAME, and of these there may be several */
	enum { COMMAND_NONE, COMMAND_ALLOWED, COMMAND_NEEDED } command;
};

extern const struct verb verbs[VERBS];

/* verb_find() - the verb of that name, or NULL */
const struct verb *verb_find(const char *name);

/* verb_complain() - on standard error: there is no verb of that name, and which one may be meant */
void verb_complain(const char *name);
