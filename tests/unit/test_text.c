/* SPDX-License-Identifier: BSD-3-Clause */

/* text.h, name.h and refuse() */

#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/error.h"
#include "util/macro.h"
#include "util/name.h"
#include "util/text.h"

static void printable(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"plain", "plain"},
		{"a\tb", "a\tb"},
		{"a\nb\rc\x1b[31m\x7f", "a?b?c?[31m?"},
		{"m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x90\x98",
			"m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x90\x98"},
		{"\xc3", "?"},		      /* cut */
		{"\xe2\x82", "??"},	      /* cut */
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xe0\x80\x80", "???"},      /* overlong */
		{"\xed\xa0\x80", "???"},      /* surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
		{"\xff\xfe", "??"},	      /* never in UTF-8 */
		{"\xc3(\xe2\x82(", "?(?\?("},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[64];

		strcpy(text, cases[i][0]);
		assert_int_equal(text_is_clean(text, strlen(text)), !strcmp(cases[i][0], cases[i][1]));
		text_make_printable(text);
		assert_string_equal(text, cases[i][1]);
		assert_true(text_is_clean(text, strlen(text)));
	}
}

static void clean_is_about_size_bytes(void **state)
{
	(void)state;
	assert_true(text_is_clean("", 0));
	assert_true(text_is_clean("a\nb", 1));
	assert_false(text_is_clean("a\0b", 3));
	assert_false(text_is_clean("\xc3\xbc", 1));
	assert_true(text_is_clean("\xc3\xbc", 2));
}

/* Every byte at every position among others, because eight are examined together. */
static void clean_is_about_each_byte(void **state)
{
	static const char *const texts[] = {"Stream=192.0.2.0/24:443 ",
		"a\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\tm", "\xc3\xbc\xe2\x82\xac plain \xf0\x9f\x90\x98 text "};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t size = strlen(texts[i]);

		assert_true(text_is_clean(texts[i], size));
		for (unsigned byte = 0; byte < 0x80; byte++)
			for (size_t at = 0; at <= size; at++) {
				bool clean = byte == '\t' || (byte >= 0x20 && byte != 0x7f);

				/* inserted where a character starts */
				if (at < size && ((unsigned char)texts[i][at] & 0xc0) == 0x80)
					continue;
				memcpy(text, texts[i], at);
				text[at] = (char)byte;
				memcpy(text + at + 1, texts[i] + at, size - at);
				assert_int_equal(text_is_clean(text, size + 1), clean);
			}
	}
}

#define IS_64_BIT (sizeof(unsigned long) == 8)

static void numbers(void **state)
{
	static const struct {
		const char *text;
		unsigned long max;
		int result;
		unsigned long value;
	} cases[] = {
		{"0", 0, 0, 0},
		{"65535", 65535, 0, 65535},
		{"65536", 65535, -ERANGE, 0},
		{IS_64_BIT ? "18446744073709551615" : "4294967295", ~0UL, 0, ~0UL},
		{IS_64_BIT ? "18446744073709551616" : "4294967296", ~0UL, -ERANGE, 0},
		{"", 9, -EINVAL, 0},
		{"-1", 9, -EINVAL, 0},
		{"+1", 9, -EINVAL, 0},
		{" 1", 9, -EINVAL, 0},
		{"1 ", 9, -EINVAL, 0},
		{"01", 9, -EINVAL, 0},
		{"00", 9, -EINVAL, 0},
		{"0x1", 9, -EINVAL, 0},
		{"1e1", 99, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long value = 77;

		assert_int_equal(text_to_uint(cases[i].text, cases[i].max, &value), cases[i].result);
		assert_true(value == (cases[i].result ? 77 : cases[i].value));
	}
}

static void cookies(void **state)
{
	static const char *const bad[] = {
		"", "0", "01", "0x1", "-1", "+1", " 1", "1 ", "1\n", "A", "g", "10000000000000000"};
	uint64_t cookie;

	(void)state;
	assert_int_equal(text_to_cookie("1", &cookie), 0);
	assert_true(cookie == 1);
	assert_int_equal(text_to_cookie("ffffffffffffffff", &cookie), 0);
	assert_true(cookie == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_to_cookie(bad[i], &cookie), -EINVAL);
}

static void names(void **state)
{
	static const char *const good[] = {"a", "web", "web@1", "mail.example.org", "_", "@", "0",
		"A-Z_a-z.0-9@", "123456789012345678901234567890123456789012345678901234567890123"};
	static const char *const bad[] = {"", ".", "..", ".web", "-web", "a/b", "a:b", "a b", "a\n", "a\tb",
		"\x01", "m\xc3\xbcller", "a=b", "a*",
		"1234567890123456789012345678901234567890123456789012345678901234"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_is_valid(bad[i]));
}

static void refusals_are_printable_and_cut(void **state)
{
	struct refusal refusal;
	char word[600];

	(void)state;
	assert_int_equal(refuse(&refusal, EPERM, "'%s' is %d", "a\nb\xff", 5), REFUSED);
	assert_int_equal(refusal.error, EPERM);
	assert_string_equal(refusal.text, "'a?b?' is 5");
	memset(word, 'x', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(refuse(&refusal, EPERM, "%s", word), REFUSED);
	assert_int_equal(strlen(refusal.text), sizeof(refusal.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printable),
		cmocka_unit_test(clean_is_about_size_bytes),
		cmocka_unit_test(clean_is_about_each_byte),
		cmocka_unit_test(numbers),
		cmocka_unit_test(cookies),
		cmocka_unit_test(names),
		cmocka_unit_test(refusals_are_printable_and_cut),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
