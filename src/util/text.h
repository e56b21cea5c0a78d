/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* text_make_printable() - replace control characters and bytes that are not valid UTF-8 by '?', in place */
void text_make_printable(char *text);

/*
 * text_is_clean() - whether text may be in a message or a rule file
 * @text: not necessarily terminated
 * @size: its length in bytes
 *
 * Clean is valid UTF-8 without control characters other than tab.
 */
bool text_is_clean(const char *text, size_t size);

/*
 * text_to_uint() - a decimal number without sign, blank or leading zero
 *
 * Return: 0; -EINVAL when it is not one; -ERANGE when it is above @max.
 */
int text_to_uint(const char *text, unsigned long max, unsigned long *ret);

/*
 * text_to_cookie() - a cookie as usher and `ss -e` write it: lower case, hexadecimal, without "0x" or a leading zero
 *
 * Return: 0 or -EINVAL; no cookie is 0.
 */
int text_to_cookie(const char *text, uint64_t *ret);

#define TEXT_QUOTE_MAX 72

/* text_quote() - a word in single quotes, for a message; cut when it is long */
const char *text_quote(const char *word, char text[static TEXT_QUOTE_MAX]);
