/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The section [Discover] */

#include "key.h"

/* discover_enter() - a line [Discover] */
void discover_enter(struct parser *parser);

/* discover_check() - when all of the file was read: what its keys must be together */
void discover_check(struct parser *parser);

void assign_sockets(struct parser *parser, const struct key *key, char *value);
void assign_listen(struct parser *parser, const struct key *key, char *value);
void assign_scan_interval(struct parser *parser, const struct key *key, char *value);
