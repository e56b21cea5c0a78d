/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The sections and keys of a rule file, and their possible values: usher.rules(5)
 *
 * section.c has the table of all; section_X.c has the keys of [X].
 */

#include "key.h"

/* section_enter() - a line [NAME] */
void section_enter(struct parser *parser, const char *name);

/* section_assign() - a line KEY=VALUE; @value is without blanks at both ends, and is cut into words in place */
void section_assign(struct parser *parser, const char *name, char *value);

void section_rule_matches(struct parser *parser, const struct key *key, char *value);
void section_rule_missing(struct parser *parser, const struct key *key, char *value);
void section_rule_order(struct parser *parser, const struct key *key, char *value);

void section_access_bound(struct parser *parser, const struct key *key, char *value);

/* section_access_set_default_bound() - where sockets may be bound if Bound= is not set; frees earlier prefixes */
void section_access_set_default_bound(struct parser *parser);

/* section_access_check() - after all of the file was read: check its keys against each other */
void section_access_check(struct parser *parser);

/* section_complain_user_units() - UserUnit= without User= says nothing: anybody may have a unit of that name */
void section_complain_user_units(struct parser *parser, const char *section,
	const struct rule_words *user_units, const struct rule_words *users);

/* section_discover_enter() - a line [Discover] */
void section_discover_enter(struct parser *parser);

/* section_discover_check() - after all of the file was read: check its keys against each other */
void section_discover_check(struct parser *parser);

void section_discover_sockets(struct parser *parser, const struct key *key, char *value);
void section_discover_listen(struct parser *parser, const struct key *key, char *value);
void section_discover_scan_interval(struct parser *parser, const struct key *key, char *value);

/* section_relay_enter() - a line [Relay] */
void section_relay_enter(struct parser *parser);

/* section_relay_check() - after all of the file was read: check its keys against each other */
void section_relay_check(struct parser *parser);

void section_relay_connect(struct parser *parser, const struct key *key, char *value);
void section_relay_send_proxy(struct parser *parser, const struct key *key, char *value);
void section_relay_accept_proxy(struct parser *parser, const struct key *key, char *value);
void section_relay_transparent(struct parser *parser, const struct key *key, char *value);
void section_relay_max_connections(struct parser *parser, const struct key *key, char *value);
void section_relay_time(struct parser *parser, const struct key *key, char *value);
