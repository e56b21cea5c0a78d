/* SPDX-License-Identifier: BSD-3-Clause */

/* Lists with colons as clients send them: NAME=, NAMES=, FDS=, EVENTS=. */

#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/macro.h"
#include "wire/names.h"

static char packet[PACKET_TEXT_MAX + 1];
static struct message message;

static void parse(const char *format, ...)
{
	struct refusal refusal;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(packet, sizeof(packet), format, arguments);
	va_end(arguments);
	assert_int_equal(message_parse(&message, packet, (size_t)n, &refusal), 0);
}

/* A name again and again: "a:a:a" */
static const char *repeat(const char *name, size_t n)
{
	static char list[PACKET_TEXT_MAX];
	char *end = list;

	for (size_t i = 0; i < n; i++)
		end += snprintf(end, (size_t)(list + sizeof(list) - end), "%s%s", i ? ":" : "", name);
	return list;
}

static void words_come_one_after_the_other(void **state)
{
	static const char *const wanted[] = {"a", "", "longe", ""};
	const char *list = "a::longer than there is room for:";
	char word[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		assert_true(names_next(&list, word, sizeof(word)));
		assert_string_equal(word, wanted[i]);
	}
	assert_false(names_next(&list, word, sizeof(word)));
	assert_null(list);
	assert_false(names_next(&list, word, sizeof(word)));
	list = "";
	assert_true(names_next(&list, word, sizeof(word)));
	assert_false(names_next(&list, word, sizeof(word)));
}

static void as_many_words_as_are_counted(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned i = 0; i < 20000; i++) {
		char text[40], word[8];
		const char *list = text;
		size_t n = 0, length = (size_t)random() % sizeof(text);

		for (size_t k = 0; k < length; k++)
			text[k] = "ab:"[random() % 3];
		text[length] = '\0';
		while (names_next(&list, word, sizeof(word)))
			n++;
		assert_int_equal(n, names_count(text));
	}
}

static void one_name_is_enough(void **state)
{
	struct refusal refusal;
	struct names names;

	(void)state;
	parse("NAME=web");
	assert_int_equal(names_read(&message, 3, &names, &refusal), 0);
	assert_int_equal(names.n, 1);
	assert_string_equal(names.items[0], "web");
	parse("NAME=%01000d", 0);
	assert_int_equal(names_read(&message, 1, &names, &refusal), 0);
	assert_false(name_is_valid(names.items[0]));
	parse("REQUEST=claim");
	assert_int_equal(names_read(&message, 0, &names, &refusal), REFUSED);
	parse("NAME=a\nNAMES=a");
	assert_int_equal(names_read(&message, 0, &names, &refusal), REFUSED);
	assert_int_equal(refusal.error, EINVAL);
}

static void no_more_names_than_make_sense(void **state)
{
	struct refusal refusal;
	struct names names;

	(void)state;
	parse("NAMES=%s", repeat("a", PROTOCOL_NAMES_MAX));
	assert_int_equal(names_read(&message, 0, &names, &refusal), 0);
	assert_int_equal(names.n, PROTOCOL_NAMES_MAX);
	parse("NAMES=%s", repeat("a", PROTOCOL_NAMES_MAX + 1));
	assert_int_equal(names_read(&message, 0, &names, &refusal), REFUSED);
	assert_int_equal(refusal.error, E2BIG);
	parse("NAMES=%s", repeat("a", 2030));
	assert_int_equal(names_read(&message, 0, &names, &refusal), REFUSED);
	assert_non_null(strstr(refusal.text, "2030 names came in one request, which takes 64"));
	parse("NAMES=a:b");
	assert_int_equal(names_read(&message, 3, &names, &refusal), REFUSED);
	assert_int_equal(refusal.error, EINVAL);
}

static void sorted_names_are_found(void **state)
{
	struct refusal refusal;
	struct names names;

	(void)state;
	parse("NAMES=web:a:web::zz:a:m");
	assert_int_equal(names_read(&message, 7, &names, &refusal), 0);
	names_sort(&names);
	assert_int_equal(names.n, 5);
	assert_true(names_contain(&names, "web") && names_contain(&names, "a") && names_contain(&names, "") &&
		    names_contain(&names, "zz") && names_contain(&names, "m"));
	assert_false(names_contain(&names, "we") || names_contain(&names, "webb"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_come_one_after_the_other),
		cmocka_unit_test(as_many_words_as_are_counted),
		cmocka_unit_test(one_name_is_enough),
		cmocka_unit_test(no_more_names_than_make_sense),
		cmocka_unit_test(sorted_names_are_found),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
