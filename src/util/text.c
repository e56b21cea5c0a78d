/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the valid UTF-8 sequence that starts here (RFC 3629, no surrogates, no overlong forms); 0 if none. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
	static const struct {
		unsigned char first, last, second_min, second_max, length;
	} forms[] = {
		{0x00, 0x7f, 0x00, 0x00, 1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (forms[i].length == 1)
			return 1;
		if (size < forms[i].length || s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		return forms[i].length;
	}
	return 0;
}

static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

void text_make_printable(char *text)
{
	unsigned char *s = (unsigned char *)text;
	size_t left = strlen(text);

	while (left) {
		size_t length = utf8_length(s, left);

		if (!length || is_control(*s)) {
			*s = '?';
			length = 1;
		}
		s += length;
		left -= length;
	}
}

/* Whether eight bytes are printable ASCII, as almost always in a rule file */
static bool are_plain(const unsigned char *s)
{
	const uint64_t each = 0x0101010101010101;
	uint64_t word, below_blank, delete;

	memcpy(&word, s, sizeof(word));
	below_blank = word - 0x20 * each;
	delete = (word ^ 0x7f * each) - each;
	return !((word | below_blank | delete) & 0x80 * each);
}

bool text_is_clean(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;

	while (size) {
		size_t length = size >= 8 && are_plain(s) ? 8 : *s < 0x80 ? 1 : utf8_length(s, size);

		if (!length || is_control(*s))
			return false;
		s += length;
		size -= length;
	}
	return true;
}

int text_to_uint(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long value = 0;
	bool fits = true;

	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)(unsigned char)*text - '0';

		if (digit > 9)
			return -EINVAL;
		if (fits)
			fits = !__builtin_mul_overflow(value, 10, &value) &&
			       !__builtin_add_overflow(value, digit, &value);
	}
	if (!fits || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int text_to_cookie(const char *text, uint64_t *ret)
{
	size_t length = strspn(text, "0123456789abcdef");

	if (!length || length > 16 || text[length] || *text == '0')
		return -EINVAL;
	*ret = strtoull(text, NULL, 16);
	return 0;
}

const char *text_quote(const char *word, char text[static TEXT_QUOTE_MAX])
{
	bool cut = strlen(word) > TEXT_QUOTE_MAX - sizeof("''...");

	(void)snprintf(text, TEXT_QUOTE_MAX, "'%.*s%s'", TEXT_QUOTE_MAX - (int)sizeof("''..."), word,
		cut ? "..." : "");
	return text;
}
