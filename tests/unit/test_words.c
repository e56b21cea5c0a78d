/* SPDX-License-Identifier: BSD-3-Clause */

/* The words of the protocol: each can be written and read, and a word of a newer version is unknown. */

#undef NDEBUG
#include <assert.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "util/macro.h"
#include "util/transport.h"
#include "wire/message.h"
#include "wire/words.h"

static void test_keys(void **state)
{
	const char *before = "";

	(void)state;
	for (enum message_key key = KEY_NONE + 1; key < KEY_N; key++) {
		const char *word = key_word(key);
		enum message_key again = KEY_NONE;

		assert_non_null(word);
		/* the search relies on this; equal ones would be out of order too */
		if (strcmp(before, word) >= 0)
			fail_msg("%s does not come before %s", before, word);
		before = word;
		assert_true(key_from_word(word, &again));
		assert_int_equal(again, key);
	}
	assert_string_equal(key_word(KEY_NONE), "");
}

static void test_unknown_keys(void **state)
{
	static const char *const words[] = {"", "A", "NAM", "NAMESX", "name", "ZZ", "HAND_IN_REFUSED_"};
	enum message_key key = KEY_UNIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_false(key_from_word(words[i], &key));
	assert_int_equal(key, KEY_UNIT);
}

/* A value is read under the key of the writer, and under no other. */
static void test_keys_in_a_packet(void **state)
{
	(void)state;
	for (enum message_key key = KEY_NONE + 1; key < KEY_N; key++) {
		struct writer writer = WRITER_NULL;
		struct message message;
		struct refusal refusal;

		writer_put(&writer, key, "%d", (int)key);
		assert_int_equal(message_parse(&message, writer.text, writer.size, &refusal), 0);
		for (enum message_key other = KEY_NONE; other < KEY_N; other++) {
			const char *value = message_get(&message, other);

			assert_int_equal(value != NULL, other == key);
		}
	}
}

/* Both directions of a kind of words with @count values */
#define CHECK_VALUES(kind, type, count)                                                                      \
	do {                                                                                                 \
		type value = (type)0;                                                                        \
                                                                                                             \
		for (unsigned i = 0; i < (count); i++) {                                                     \
			value = (type)((i + 1) % (count));                                                   \
			assert_non_null(kind##_word((type)i));                                               \
			assert_true(kind##_from_word(kind##_word((type)i), &value));                         \
			assert_int_equal(value, i);                                                          \
		}                                                                                            \
		value = (type)0;                                                                             \
		assert_false(kind##_from_word(NULL, &value));                                                \
		assert_false(kind##_from_word("", &value));                                                  \
		assert_false(kind##_from_word("of-a-newer-version", &value));                                \
		assert_int_equal(value, 0);                                                                  \
	} while (0)

static void test_values(void **state)
{
	(void)state;
	CHECK_VALUES(verb, enum request_verb, REQUEST_N);
	CHECK_VALUES(via, enum via, VIA_N);
	CHECK_VALUES(state, enum seat_state, STATE_N);
	CHECK_VALUES(verdict, enum verdict, VERDICT_N);
	CHECK_VALUES(reload, enum reload_outcome, RELOAD_N);
	assert_true(yes_from_word(yes_word(true)));
	assert_false(yes_from_word(yes_word(false)));
	assert_false(yes_from_word("Yes"));
	assert_false(yes_from_word(NULL));
}

static void test_transports(void **state)
{
	static const struct {
		int protocol, family;
		const char *protocol_word, *family_word, *name;
	} cases[] = {
		{IPPROTO_TCP, AF_INET, "tcp", "ipv4", "TCP over IPv4"},
		{IPPROTO_TCP, AF_INET6, "tcp", "ipv6", "TCP over IPv6"},
		{IPPROTO_UDP, AF_INET, "udp", "ipv4", "UDP over IPv4"},
		{IPPROTO_UDP, AF_INET6, "udp", "ipv6", "UDP over IPv6"},
	};
	uint8_t protocol = 0;
	int family = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[32];

		assert_string_equal(protocol_word(cases[i].protocol), cases[i].protocol_word);
		assert_string_equal(family_word(cases[i].family), cases[i].family_word);
		assert_string_equal(transport_name(cases[i].protocol, cases[i].family), cases[i].name);
		(void)snprintf(name, sizeof(name), "%s over %s", protocol_name(cases[i].protocol),
			family_name(cases[i].family));
		assert_string_equal(name, cases[i].name);
		assert_true(protocol_from_word(cases[i].protocol_word, &protocol));
		assert_int_equal(protocol, cases[i].protocol);
		assert_true(family_from_word(cases[i].family_word, &family));
		assert_int_equal(family, cases[i].family);
	}
	assert_false(protocol_from_word("TCP", &protocol));
	assert_false(protocol_from_word(NULL, &protocol));
	assert_int_equal(protocol, IPPROTO_UDP);
	assert_false(family_from_word("inet", &family));
	assert_false(family_from_word(NULL, &family));
	assert_int_equal(family, AF_INET6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_keys_in_a_packet),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_transports),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
