/* SPDX-License-Identifier: BSD-3-Clause */
#include "match.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/text.h"
#include "foreign_form.h"

/* The longest match: "[" 39 characters of address "/128]:65535-65535". With room for mistakes in it. */
#define WORD_MAX 128

/* The part of a word from @start to @end, which is shorter than WORD_MAX */
static const char *cut_word(const char *start, const char *end, char text[static WORD_MAX])
{
	size_t length = (size_t)(end - start);

	memcpy(text, start, length);
	text[length] = '\0';
	return text;
}

/* `text` is the part of `word` that should be a port. */
static int parse_port(const char *word, const char *text, uint16_t *ret, struct refusal *refusal)
{
	unsigned long port;
	int r = text_to_uint(text, 65535, &port);

	if (r == -ERANGE)
		return refuse(
			refusal, EINVAL, "'%s': port %s is too large; ports are 1 to 65535", word, text);
	if (r < 0 && !strcmp(word, text))
		return refuse(
			refusal, EINVAL, "'%s' is not a port; write 80, 8000-8099 or * for every port", word);
	if (r < 0)
		return refuse(refusal, EINVAL,
			"'%s': '%s' is not a port; write 80, 8000-8099 or * for every port", word, text);
	if (!port)
		return refuse(refusal, EINVAL, "'%s': port 0 cannot be matched; ports are 1 to 65535", word);
	*ret = (uint16_t)port;
	return 0;
}

static int parse_ports(const char *word, const char *text, struct rule_match *match, struct refusal *refusal)
{
	const char *dash;
	char first[WORD_MAX];
	int r;

	if (text[0] == '*' && !text[1]) {
		match->first = 1;
		match->last = 65535;
		return 0;
	}
	dash = strchr(text, '-');
	if (!dash) {
		r = parse_port(word, text, &match->first, refusal);
		match->last = match->first;
		return r;
	}
	if (dash == text || !dash[1])
		return refuse(
			refusal, EINVAL, "'%s': one end of the port range is missing; write 8000-8099", word);
	r = parse_port(word, cut_word(text, dash, first), &match->first, refusal);
	if (!r)
		r = parse_port(word, dash + 1, &match->last, refusal);
	if (!r && match->first > match->last)
		r = refuse(refusal, EINVAL, "'%s': the port range is inverted; write %u-%u", word,
			match->last, match->first);
	return r;
}

static int parse_prefix(const char *word, const char *text, struct rule_match *match, struct refusal *refusal)
{
	struct refusal why;

	if (prefix_parse(text, &match->prefix, &why))
		return refuse(refusal, why.error, "'%s': %s", word, why.text);
	return 0;
}

/* "[2001:db8::/48]:443" */
static int parse_bracketed(const char *word, struct rule_match *match, struct refusal *refusal)
{
	const char *end = strchr(word, ']');
	char text[WORD_MAX];
	int r;

	if (!end)
		return refuse(refusal, EINVAL,
			"'%s': the closing bracket is missing; write [2001:db8::/48]:443", word);
	(void)cut_word(word + 1, end, text);
	if (!strchr(text, ':'))
		return refuse(
			refusal, EINVAL, "'%s': brackets are for IPv6; write IPv4 as 192.0.2.0/24:80", word);
	if (end[1] == '/')
		return refuse(refusal, EINVAL,
			"'%s': the prefix length belongs inside the brackets; write [2001:db8::/48]:443",
			word);
	if (end[1] != ':' || !end[2])
		return refuse(refusal, EINVAL,
			"'%s': the port is missing; write [%s]:443, or [%s]:* for every port", word, text,
			text);
	r = parse_prefix(word, text, match, refusal);
	if (!r)
		r = parse_ports(word, end + 2, match, refusal);
	return r;
}

int rule_match_parse(const char *word, struct rule_match *ret, struct refusal *refusal)
{
	struct rule_match match = {.prefix.family = AF_UNSPEC};
	const char *colon = strchr(word, ':');
	char text[WORD_MAX], quoted[TEXT_QUOTE_MAX];
	int r;

	if (strlen(word) >= sizeof(text))
		return refuse(refusal, EINVAL, "%s is too long to be a match", text_quote(word, quoted));
	if (foreign_form_refuse(word, refusal))
		return REFUSED;
	if (word[0] == '[') {
		r = parse_bracketed(word, &match, refusal);
	} else if (!colon) {
		if (strpbrk(word, "./"))
			return refuse(refusal, EINVAL,
				"'%s': the port is missing; write %s:80, or %s:* for every port", word, word,
				word);
		r = parse_ports(word, word, &match, refusal);
	} else if (strchr(colon + 1, ':')) {
		return refuse(refusal, EINVAL, "'%s': IPv6 needs brackets; write [2001:db8::/48]:443", word);
	} else {
		(void)cut_word(word, colon, text);
		if (!*text || !strcmp(text, "*"))
			return refuse(refusal, EINVAL, "'%s': for any address write the port alone", word);
		if (!colon[1])
			return refuse(refusal, EINVAL,
				"'%s': the port is missing; write %s80, or %s* for every port", word, word,
				word);
		r = parse_prefix(word, text, &match, refusal);
		if (!r)
			r = parse_ports(word, colon + 1, &match, refusal);
	}
	if (!r) {
		ret->prefix = match.prefix;
		ret->first = match.first;
		ret->last = match.last;
	}
	return r;
}

bool rule_match_covers(
	const struct rule_match *match, int protocol, int family, const uint8_t *address, uint16_t port)
{
	return match->protocol == protocol && match->first <= port && match->last >= port &&
	       (match->prefix.family == AF_UNSPEC || prefix_contains(&match->prefix, family, address));
}

bool rule_match_is_stronger(const struct rule_match *a, const struct rule_match *b)
{
	if (a->prefix.length != b->prefix.length)
		return a->prefix.length > b->prefix.length;
	return a->last - a->first < b->last - b->first;
}
