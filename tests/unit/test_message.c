/* SPDX-License-Identifier: BSD-3-Clause */

/* The text of packets: what is parsed, what is refused and why, what is written */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "util/macro.h"
#include "wire/message.h"

static void test_message_fields(void **state)
{
	char text[] = "REQUEST=hand-in\nNAME=web\nVALUE=\nX_1=a=b=\tc \xc3\xa9\nHELD=yes";
	struct message message;
	struct refusal refusal;

	(void)state;
	assert_int_equal(message_parse(&message, text, sizeof(text) - 1, &refusal), 0);
	assert_int_equal(message.n_fields, 5);
	assert_string_equal(message_get(&message, KEY_REQUEST), "hand-in");
	assert_string_equal(message_get(&message, KEY_NAME), "web");
	assert_string_equal(message_get(&message, KEY_VALUE), "");
	assert_string_equal(message_get(&message, KEY_HELD), "yes");
	assert_null(message_get(&message, KEY_NAMES));
	assert_int_equal(message.fields[1].key, KEY_NAME);
	assert_string_equal(message.fields[1].word, "NAME");
	/* an unknown key of a newer version can be listed, but not looked up by accident */
	assert_int_equal(message.fields[3].key, KEY_NONE);
	assert_string_equal(message.fields[3].word, "X_1");
	assert_string_equal(message.fields[3].value, "a=b=\tc \xc3\xa9");
	assert_null(message_get(&message, KEY_NONE));
}

static void test_message_refused(void **state)
{
	static const struct {
		const char *text;
		size_t size; /* 0 for strlen */
		const char *reason;
	} cases[] = {
		{"", 0, "is empty"},
		{"A", 1, "line 1 of the message, 'A', has no '='"},
		{"\n", 1, "line 1 of the message, '', has no '='"},
		{"A=1\n\n", 0, "line 2 of the message, '', has no '='"},
		{"A=1\n\nB=2\n", 0, "line 2 of the message, '', has no '='"},
		{"A=1\nB\n", 0, "line 2 of the message, 'B', has no '='"},
		{"A=1\0", 4, "NUL byte at offset 3"},
		{"\0", 1, "NUL byte at offset 0"},
		{"A=\0B=2\n", 7, "NUL byte at offset 2"},
		{"A=1\r\nB=2\n", 0, "line 1 of the message, 'A=1?', has a control character"},
		{"A=1\nB=\x1b[2J\n", 0, "line 2 of the message, 'B=?[2J', has a control character"},
		{"A=\x7f", 0, "control character"},
		{"A=\xff", 0, "invalid UTF-8"},
		{"A=\xc3", 0, "invalid UTF-8"},
		{"A=\xc0\xaf", 0, "invalid UTF-8"},
		{"A=\xed\xa0\x80", 0, "invalid UTF-8"},
		{"=1\n", 0, "'' is not a key"},
		{"a=1\n", 0, "'a' is not a key"},
		{"1A=1\n", 0, "'1A' is not a key"},
		{"_A=1\n", 0, "'_A' is not a key"},
		{" A=1\n", 0, "' A' is not a key"},
		{"A =1\n", 0, "'A ' is not a key"},
		{"A-B=1\n", 0, "'A-B' is not a key"},
		{"\xc3\x84=1\n", 0, "is not a key"},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456=1\n", 0, "is not a key"},
		{"A=1\nB=2\nA=3\n", 0, "line 3 of the message: A appears twice"},
		{"A=\nA=\n", 0, "line 2 of the message: A appears twice"},
		{"NAME=a\nA=\nNAME=b\n", 0, "line 3 of the message: NAME appears twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t size = cases[i].size ? cases[i].size : strlen(cases[i].text);
		char text[128] = {0};
		struct message message = {.n_fields = 1};
		struct refusal refusal = {.text = ""};

		memcpy(text, cases[i].text, size);
		assert_int_equal(message_parse(&message, text, size, &refusal), REFUSED);
		assert_int_equal(refusal.error, EBADMSG);
		if (!strstr(refusal.text, cases[i].reason))
			fail_msg("case %zu: '%s' does not say '%s'", i, refusal.text, cases[i].reason);
		assert_int_equal(message.n_fields, 0);
	}
}

static void test_message_limits(void **state)
{
	char text[PACKET_TEXT_MAX + 1] = "";
	struct message message;
	struct refusal refusal;
	size_t size = 0;

	(void)state;
	for (unsigned i = 0; i < MESSAGE_FIELDS_MAX; i++)
		size += (size_t)sprintf(text + size, "K%u=%u\n", i, i);
	assert_int_equal(message_parse(&message, text, size, &refusal), 0);
	assert_int_equal(message.n_fields, MESSAGE_FIELDS_MAX);
	assert_string_equal(message.fields[63].word, "K63");
	assert_string_equal(message.fields[63].value, "63");

	size = 0;
	for (unsigned i = 0; i < MESSAGE_FIELDS_MAX + 1; i++)
		size += (size_t)sprintf(text + size, "K%u=%u\n", i, i);
	assert_int_equal(message_parse(&message, text, size, &refusal), REFUSED);
	assert_non_null(strstr(refusal.text, "more than 64 lines"));

	/* The longest key, and a value that fills the packet. */
	memset(text, 'A', PACKET_TEXT_MAX);
	text[32] = '=';
	assert_int_equal(message_parse(&message, text, PACKET_TEXT_MAX, &refusal), 0);
	assert_int_equal(strlen(message.fields[0].word), 32);
	assert_int_equal(strlen(message.fields[0].value), PACKET_TEXT_MAX - 33);
}

static void test_writer(void **state)
{
	struct writer writer = WRITER_NULL;
	struct message message;
	struct refusal refusal;

	(void)state;
	writer_put(&writer, KEY_NAME, "%s", "web");
	writer_put(&writer, KEY_PLACE, "%d", 3);
	writer_put(&writer, KEY_VALUE, "%s", "");
	writer_put(&writer, KEY_TEXT, "%s", "a\nOK=1\r\x1b\xff\tb");
	assert_int_equal(writer.overflow, 0);
	assert_int_equal(writer.size, strlen(writer.text));
	assert_string_equal(writer.text, "NAME=web\nPLACE=3\nVALUE=\nTEXT=a?OK=1???\tb\n");
	assert_int_equal(message_parse(&message, writer.text, writer.size, &refusal), 0);
	assert_int_equal(message.n_fields, 4);
	assert_null(message_get(&message, KEY_OK));
}

static void test_writer_overflow(void **state)
{
	struct writer writer = WRITER_NULL;
	char value[PACKET_TEXT_MAX + 16];

	(void)state;
	memset(value, 'v', sizeof(value));
	writer_put(&writer, KEY_OK, "%s", "1");
	/* With one byte too many, the whole field is left out. */
	writer_put(&writer, KEY_UID, "%.*s", (int)(PACKET_TEXT_MAX - 5 - 5 + 1), value);
	assert_int_equal(writer.overflow, 1);
	assert_string_equal(writer.text, "OK=1\n");
	assert_int_equal(writer.size, 5);
	writer.overflow = 0;
	/* The last byte is used. */
	writer_put(&writer, KEY_UID, "%.*s", (int)(PACKET_TEXT_MAX - 5 - 5), value);
	assert_int_equal(writer.overflow, 0);
	assert_int_equal(writer.size, PACKET_TEXT_MAX);
	assert_int_equal(strlen(writer.text), PACKET_TEXT_MAX);
	assert_int_equal(writer.text[PACKET_TEXT_MAX - 1], '\n');
	/* After that, nothing fits. */
	writer_put(&writer, KEY_OK, "%s", "");
	assert_int_equal(writer.overflow, 1);
	assert_int_equal(writer.size, PACKET_TEXT_MAX);
	assert_int_equal(strlen(writer.text), PACKET_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_fields),
		cmocka_unit_test(test_message_refused),
		cmocka_unit_test(test_message_limits),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_overflow),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
