/* SPDX-License-Identifier: BSD-3-Clause */

/* array.h and errno_name.h */

#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/array.h"
#include "util/errno_name.h"

static void test_grows(void **state)
{
	_cleanup_free_ int *items = NULL;
	size_t n = 0;

	(void)state;
	for (int round = 0; round < 3; round++) {
		while (n < 1000) {
			assert_int_equal(ARRAY_RESERVE(items, n), 0);
			items[n] = (int)n;
			n++;
		}
		for (size_t i = 0; i < n; i++)
			assert_int_equal(items[i], i);
		n = 300 * (size_t)round; /* removed items leave room */
	}
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void test_lower_bound(void **state)
{
	static const int items[] = {2, 4, 4, 4, 7};
	static const size_t expected[] = {0, 0, 0, 1, 1, 4, 4, 4, 5, 5};

	(void)state;
	for (int key = 0; key < 10; key++)
		assert_int_equal(
			array_lower_bound(&key, items, ARRAY_SIZE(items), sizeof(*items), compare_ints),
			expected[key]);
	assert_int_equal(array_lower_bound(&(int){1}, NULL, 0, sizeof(*items), compare_ints), 0);
}

static void test_errno_words(void **state)
{
	(void)state;
	assert_string_equal(errno_name(2), "ENOENT");
	assert_string_equal(errno_name(524), "ENOTSUPP");
	assert_string_equal(errno_name(4711), "errno 4711");
	assert_string_equal(errno_text(2), "No such file or directory");
	assert_string_equal(errno_text(4711), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_lower_bound),
		cmocka_unit_test(test_errno_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
