/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The socket units that rules name (Sockets=): those of the rules in force, from the answer to `rules`, or of a rule set */

#include <stddef.h>

#include "../../rule/rule.h"
#include "../ask.h"

struct socket_rule {
	char *name; /* of the rule; NULL: no rule has to name the unit */
	char *unit;
	char *file;
	unsigned line;
};

struct socket_rules {
	struct socket_rule *items; /* in the order of the rules; none twice */
	size_t n;
};

#define SOCKET_RULES_NULL ((struct socket_rules){})

void socket_rules_deinit(struct socket_rules *rules);

/* socket_rules_add_set() - Return: 0 or -ENOMEM */
int socket_rules_add_set(struct socket_rules *rules, const struct rule_set *set);

/* socket_rules_add_unit() - a unit that no rule has to name; Return: 0 or -ENOMEM */
int socket_rules_add_unit(struct socket_rules *rules, const char *unit);

/* socket_rules_find() - the first unit that the rule of a name names; NULL: none */
const char *socket_rules_find(const struct socket_rules *rules, const char *name);

/*
 * socket_rules_ask() - ask the broker
 * @unit: only the rules that name this unit; NULL: all
 *
 * Return: 0, REFUSED, or -ENOMEM.
 */
int socket_rules_ask(
	struct client *client, const char *unit, struct socket_rules *ret, struct refusal *refusal);
