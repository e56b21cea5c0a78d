/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Matches that do not do what they say
 *
 * Some can never take a packet, because the kernel looks for no socket where it delivers to several. Others take what
 * the administrator did not mean: the answers to clients of the host itself. With a later Order=, every user may take
 * what some match.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../../rule/rule.h"
#include "../out/json.h"

struct hazard {
	const struct rule *rule;
	const struct rule_match *match;
	enum hazard_kind {
		HAZARD_NEVER,	    /* it takes no packet */
		HAZARD_LOCAL_PORTS, /* it takes ports that the kernel gives to clients */
		HAZARD_BINDABLE,    /* it leaves packets to anybody who binds the port, and every user may */
	} kind;
	char text[512], remedy[512];
};

#define HAZARDS_MAX 20

struct hazards {
	struct hazard items[HAZARDS_MAX];
	size_t n, n_all;
	struct refusal unknown; /* why the host was not looked at; its error is 0 when it was */
};

/*
 * hazards_find() - look at every match of a rule set
 * @files_only: do not look at this host
 */
void hazards_find(const struct rule_set *set, bool files_only, struct hazards *ret);

/* hazards_match_never() - why no packet reaches a match, whatever the host: "multicast addresses"; NULL if one can */
const char *hazards_match_never(const struct rule_match *match);

/* hazards_print() - lines "file:line: warning: text; remedy" on standard error */
void hazards_print(const struct hazards *hazards);

/* hazards_print_json() - the members "hazards" and "hazards_left_out" of the open object */
void hazards_print_json(const struct hazards *hazards, struct json *json);
