/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One word of Stream= or Datagram= */

#include <stdbool.h>
#include <stdint.h>

#include "../util/error.h"
#include "rule.h"

/*
 * rule_match_parse() - "192.0.2.0/24:80", "[2001:db8::/48]:8000-8099", "443", "*"
 * @ret: its prefix and ports are set; the caller sets protocol and line
 *
 * Return: 0 or REFUSED; the text quotes the word and says what to write instead.
 */
int rule_match_parse(const char *word, struct rule_match *ret, struct refusal *refusal);

/* rule_match_covers() - does a match cover a packet to this address and port? @address: 4 or 16 bytes, network order */
bool rule_match_covers(
	const struct rule_match *match, int protocol, int family, const uint8_t *address, uint16_t port);

/*
 * rule_match_is_stronger() - of two matches that cover a packet, does @a win?
 *
 * Precedence as docs/rules.md has it: the longest prefix, then the narrowest range of ports.
 */
bool rule_match_is_stronger(const struct rule_match *a, const struct rule_match *b);
