/* SPDX-License-Identifier: BSD-3-Clause */

/* wire/notify: datagrams are read as PID 1 reads them */

#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/macro.h"
#include "wire/notify.h"

static void test_taken(void **state)
{
	static const struct {
		const char *text;
		size_t n_fds;
		enum notify_action action;
		const char *name;
		bool poll;
	} cases[] = {
		{"", 0, NOTIFY_NOTHING, "", true},
		{"READY=1\nSTATUS=x", 0, NOTIFY_NOTHING, "", true},
		{"FDSTORE=1\nFDNAME=web", 1, NOTIFY_STORE, "web", true},
		{"FDSTORE=1\nFDNAME=web\n", 2, NOTIFY_STORE, "web", true},
		{"\n\nFDNAME=web\n\nFDSTORE=1\n\n", 1, NOTIFY_STORE, "web", true},
		{"FDSTORE=1\nFDNAME=web\nFDPOLL=0", 1, NOTIFY_STORE, "web", false},
		{"FDSTORE=1\nFDPOLL=1", 1, NOTIFY_STORE, "stored", true},
		{"FDSTORE=1\nFDNAME=a:b", 1, NOTIFY_STORE, "stored", true},
		{"FDSTORE=1\nFDNAME=a\x01", 1, NOTIFY_STORE, "stored", true},
		{"FDSTORE=1\nFDNAME=first\nFDNAME=second", 1, NOTIFY_STORE, "first", true},
		{"FDSTORE=1\nFDNAME=", 1, NOTIFY_STORE, "", true},
		{"FDSTORE=0\nFDNAME=web", 1, NOTIFY_NOTHING, "web", true},
		{"FDSTORE=11", 1, NOTIFY_NOTHING, "", true},
		{"XFDSTORE=1", 1, NOTIFY_NOTHING, "", true},
		{"FDSTOREREMOVE=1\nFDNAME=web", 0, NOTIFY_REMOVE, "web", true},
		{"FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=web", 1, NOTIFY_REMOVE, "web", true},
		{"BARRIER=1", 1, NOTIFY_BARRIER, "", false},
		{"BARRIER=1\n", 1, NOTIFY_BARRIER, "", false},
		{"BARRIER=0", 1, NOTIFY_NOTHING, "", true},
		{"no assignment", 0, NOTIFY_NOTHING, "", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct refusal refusal;
		struct notify notify;

		assert_int_equal(
			notify_parse(&notify, cases[i].text, strlen(cases[i].text), cases[i].n_fds, &refusal),
			0);
		assert_int_equal(notify.action, cases[i].action);
		assert_string_equal(notify.name, cases[i].name);
		if (notify.action != NOTIFY_BARRIER)
			assert_int_equal(notify.poll, cases[i].poll);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		size_t size, n_fds;
	} cases[] = {
		{"BARRIER=1", 9, 0},
		{"BARRIER=1", 9, 2},
		{"BARRIER=1\nREADY=1", 17, 1},
		{"FDSTORE=1\nBARRIER=1", 19, 1},
		{"FDSTOREREMOVE=1", 15, 0},
		{"FDSTOREREMOVE=1\nFDNAME=a:b", 26, 0},
		{"FDSTORE=1\0\nFDNAME=x", 19, 1},
		{"READY=1\0\0", 9, 0},
		{"\0READY=1", 8, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct refusal refusal = {.error = 0};
		struct notify notify;

		assert_int_equal(
			notify_parse(&notify, cases[i].text, cases[i].size, cases[i].n_fds, &refusal),
			REFUSED);
		assert_int_equal(refusal.error, EBADMSG);
		assert_non_null(strstr(refusal.text, "(EBADMSG)"));
	}
}

/* One NUL at the end is fine: shells and C programs send it. */
static void test_trailing_nul(void **state)
{
	struct refusal refusal;
	struct notify notify;

	(void)state;
	assert_int_equal(notify_parse(&notify, "FDSTORE=1\nFDNAME=web\0", 21, 1, &refusal), 0);
	assert_int_equal(notify.action, NOTIFY_STORE);
	assert_string_equal(notify.name, "web");
}

static void test_longest_name(void **state)
{
	char text[NOTIFY_NAME_MAX + 64] = "FDSTORE=1\nFDNAME=";
	size_t start = strlen(text);
	struct refusal refusal;
	struct notify notify;

	(void)state;
	memset(text + start, 'n', NOTIFY_NAME_MAX);
	assert_int_equal(notify_parse(&notify, text, start + NOTIFY_NAME_MAX, 1, &refusal), 0);
	assert_int_equal(strlen(notify.name), NOTIFY_NAME_MAX);
	text[start + NOTIFY_NAME_MAX] = 'n';
	assert_int_equal(notify_parse(&notify, text, start + NOTIFY_NAME_MAX + 1, 1, &refusal), 0);
	assert_string_equal(notify.name, "stored");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_trailing_nul),
		cmocka_unit_test(test_longest_name),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
