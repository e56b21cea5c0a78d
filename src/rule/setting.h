/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The assignments of a rule in their canonical spelling: what `usherctl rules` and `usherctl diff` show */

#include "rule.h"

/* A match or a word */
struct rule_setting {
	const char *section; /* "Rule", "Access", "Discover", "Relay" */
	const char *key;
	const char *value;
	unsigned line;			/* 0: a default */
	const struct rule_match *match; /* for Stream and Datagram, else NULL */
};

/*
 * setting_get() - the setting at an index, at the same cost for each
 * @text: `value` may be in it
 *
 * Matches come first. Defaults of Missing, Order and Bound are included; those of Listen and ScanInterval as well when
 * there is a section [Discover], and those of [Relay] when there is one.
 *
 * Return: whether there is one.
 */
bool setting_get(const struct rule *rule, size_t index, char text[static RULE_MATCH_TEXT_MAX],
	struct rule_setting *ret);

/* setting_foreach() - call a function for each; stops at the first result other than 0 and returns it */
int setting_foreach(const struct rule *rule,
	int (*function)(const struct rule_setting *setting, void *userdata), void *userdata);
