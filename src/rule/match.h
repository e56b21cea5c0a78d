/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One word of Stream= or Datagram= */

#include "../util/error.h"
#include "rule.h"

/*
 * rule_match_parse() - "192.0.2.0/24:80", "[2001:db8::/48]:8000-8099", "443", "*"
 * @ret: its prefix and ports are set; protocol and line are the caller's
 *
 * Return: 0 or REFUSED; the text quotes the word and says what to write instead.
 */
int rule_match_parse(const char *word, struct rule_match *ret, struct refusal *refusal);

/* A word in single quotes for a message, cut when it is long. */
#define QUOTE_MAX 72
const char *quote(const char *word, char text[static QUOTE_MAX]);
