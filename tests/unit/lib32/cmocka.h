/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the unit tests of the library use of cmocka, for their 32-bit build
 *
 * test_lib32.py says why it is not cmocka itself. A failed assertion ends its test, and its message is all that is shown.
 */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*function)(void **state);
	int (*set_up)(void **state);
	int (*tear_down)(void **state);
};

/* weak: one in each program, in however many files this is */
__attribute__((weak)) jmp_buf cmocka_end;
enum { CMOCKA_FAILED = 1, CMOCKA_SKIPPED };

#define cmocka_unit_test(test)                                                                               \
	{                                                                                                    \
#test, test, NULL, NULL                                                                      \
	}
#define cmocka_unit_test_setup_teardown(test, set_up, tear_down)                                             \
	{                                                                                                    \
#test, test, set_up, tear_down                                                               \
	}

__attribute__((noreturn, unused, format(printf, 3, 4))) static void cmocka_fail(
	const char *file, int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("# %s:%d: ", file, line);
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	longjmp(cmocka_end, CMOCKA_FAILED);
}

static inline void cmocka_assert(int holds, const char *text, const char *file, int line)
{
	if (!holds)
		cmocka_fail(file, line, "%s", text);
}

static inline void cmocka_assert_equal(
	unsigned long long a, unsigned long long b, const char *text, const char *file, int line)
{
	if (a != b)
		cmocka_fail(file, line, "%s: %#llx and %#llx", text, a, b);
}

static inline void cmocka_assert_strings(const char *a, const char *b, const char *file, int line)
{
	if (strcmp(a, b) != 0)
		cmocka_fail(file, line, "'%s' and '%s'", a, b);
}

static inline void cmocka_assert_return(long long r, int error, const char *text, const char *file, int line)
{
	if (r < 0)
		cmocka_fail(file, line, "%s: %lld, errno %d", text, r, error);
}

#define assert_true(value) cmocka_assert(!!(value), #value, __FILE__, __LINE__)
#define assert_false(value) cmocka_assert(!(value), "not " #value, __FILE__, __LINE__)
#define assert_null(value) cmocka_assert(!(value), #value " is NULL", __FILE__, __LINE__)
#define assert_non_null(value) cmocka_assert(!!(value), #value " is not NULL", __FILE__, __LINE__)
#define assert_int_equal(a, b)                                                                               \
	cmocka_assert_equal(                                                                                 \
		(unsigned long long)(a), (unsigned long long)(b), #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b)                                                                           \
	cmocka_assert((unsigned long long)(a) != (unsigned long long)(b), #a " != " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) cmocka_assert(!memcmp(a, b, size), #a " == " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b) cmocka_assert_strings(a, b, __FILE__, __LINE__)
#define assert_return_code(r, error) cmocka_assert_return(r, error, #r, __FILE__, __LINE__)
#define fail_msg(...) cmocka_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip() longjmp(cmocka_end, CMOCKA_SKIPPED)

/* Return: 0, CMOCKA_FAILED or CMOCKA_SKIPPED; in a function of its own, which has no variable that longjmp() spoils */
__attribute__((noinline)) static int cmocka_run_one(const struct CMUnitTest *test, void **state)
{
	int outcome = setjmp(cmocka_end);

	if (outcome)
		return outcome;
	if (test->set_up && test->set_up(state))
		return CMOCKA_FAILED;
	test->function(state);
	return test->tear_down && test->tear_down(state) ? CMOCKA_FAILED : 0;
}

__attribute__((unused)) static int cmocka_run(
	const struct CMUnitTest *tests, size_t n, int (*set_up)(void **state), int (*tear_down)(void **state))
{
	int failed = 0;
	void *state = NULL;

	setvbuf(stdout, NULL, _IONBF, 0); /* a test may fork */
	printf("1..%zu\n", n);
	if (set_up && set_up(&state))
		return 1;
	for (size_t i = 0; i < n; i++) {
		int outcome = cmocka_run_one(&tests[i], &state);

		failed += outcome == CMOCKA_FAILED;
		printf("%s %zu - %s%s\n", outcome == CMOCKA_FAILED ? "not ok" : "ok", i + 1, tests[i].name,
			outcome == CMOCKA_SKIPPED ? " # SKIP" : "");
	}
	if (tear_down && tear_down(&state))
		return 1;
	return failed;
}

#define cmocka_run_group_tests(tests, set_up, tear_down)                                                     \
	cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]), set_up, tear_down)
#define cmocka_run_group_tests_name(name, tests, set_up, tear_down)                                          \
	cmocka_run_group_tests(tests, set_up, tear_down)
