/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What [Discover] of a rule describes */

#include <stdbool.h>
#include <stdint.h>

#include "../../scan/diag.h"
#include "../../rule/rule.h"

/* wanted_protocol() - is a socket of this protocol sought, which is: has the rule a match of it? */
bool wanted_protocol(const struct rule *rule, uint8_t protocol);

/* wanted_describes() - does this Socket= describe a socket, whatever the protocol? */
bool wanted_describes(const struct rule_match *match, const struct diag_socket *socket);

/* wanted_format() - a match of one port: "127.0.0.2:80", "127.0.0.0/8:80", "80" */
const char *wanted_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX]);

/* wanted_is_described() - is it what [Discover] of the rule seeks? */
bool wanted_is_described(const struct rule *rule, const struct diag_socket *socket);
