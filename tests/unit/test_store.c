/* SPDX-License-Identifier: BSD-3-Clause */

/* Names that usher reads back: of held sockets in the service manager's store, and of pinned programs. */

#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "holder/store.h"
#include "pins/folder.h"
#include "util/macro.h"
#include "util/name.h"

#define LONGEST "123456789012345678901234567890123456789012345678901234567890123"

static void held_sockets(void **state)
{
	static const char *const bad[] = {"", "held", "held/", "held//1", "held/web", "held/web/",
		"held/web/0", "held/web/0x1", "held/web/ 1", "held/web/-1", "held/web/01", "held/web/1 ",
		"held/web/1/2", "held/web/10000000000000000", "held/-web/1", "held/" LONGEST "4/1",
		"Held/web/1", "web"};
	char name[NAME_LENGTH_MAX + 1];
	uint64_t cookie;

	(void)state;
	assert_true(store_parse_name("held/web/1f", name, &cookie));
	assert_string_equal(name, "web");
	assert_true(cookie == 0x1f);
	assert_true(store_parse_name("held/" LONGEST "/ffffffffffffffff", name, &cookie));
	assert_string_equal(name, LONGEST);
	assert_true(cookie == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(store_parse_name(bad[i], name, &cookie));
}

static void pinned_programs(void **state)
{
	static const char *const bad[] = {"", "program-", "program-x", "program--1", "program-+1",
		"program- 1", "program-01", "program-1x", "program-18446744073709551616", "link"};
	char name[32];
	uint64_t generation;

	(void)state;
	assert_true(pins_folder_parse_program("program-17", &generation));
	assert_true(generation == 17);
	assert_true(pins_folder_parse_program(pins_folder_program(UINT64_MAX, name), &generation));
	assert_true(generation == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(pins_folder_parse_program(bad[i], &generation));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_sockets),
		cmocka_unit_test(pinned_programs),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
