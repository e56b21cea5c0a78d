/* SPDX-License-Identifier: BSD-3-Clause */

/* Whose a subordinate uid is, from any text. */

#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "intake/quota.h"
#include "intake/subuids.h"

static struct subuids parse(const char *subuid, const char *passwd)
{
	char *a = strdup(subuid), *b = strdup(passwd);
	struct subuids subuids;

	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(subuids_parse(a, b, &subuids), 0);
	free(a);
	free(b);
	return subuids;
}

static void assert_owner(const char *subuid, const char *passwd, uid_t uid, uid_t owner)
{
	struct subuids subuids = parse(subuid, passwd);

	if (subuids_owner(&subuids, uid) != owner)
		fail_msg("of %u: %u, not %u", uid, subuids_owner(&subuids, uid), owner);
	subuids_deinit(&subuids);
}

#define PASSWD "root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/:\nben:x:1001:1001::/:\nbad\nx:x:-1:\n"

static void test_ranges(void **state)
{
	static const char text[] = "ana:100000:65536\n1001:165536:10\nroot:300000:65536\nnew:400000:5\n";

	(void)state;
	assert_owner("", "", 5, 5);
	assert_owner(text, PASSWD, 99999, 99999);
	assert_owner(text, PASSWD, 100000, 1000);
	assert_owner(text, PASSWD, 165535, 1000);
	assert_owner(text, PASSWD, 165536, 1001);
	assert_owner(text, PASSWD, 165545, 1001);
	assert_owner(text, PASSWD, 165546, 165546);
	/* those of root have no limit in common, and no limit at all if they were root */
	assert_owner(text, PASSWD, 300001, 300001);
	/* of a user whom /etc/passwd does not know, who has one limit for all of them as well */
	assert_owner(text, PASSWD, 400004, 400000);
	assert_owner(text, PASSWD, 400005, 400005);
	assert_owner(text, PASSWD, 1000, 1000);
}

static void test_bad_lines(void **state)
{
	static const char *const lines[] = {"", "ana", "ana:", "ana:100000", "ana:100000:", "ana:x:5",
		"ana:100000:x", "ana:-1:5", "ana:100000:-5", "ana:100000:0", "ana:4294967295:5",
		"ana:99999999999:5", "ana:100000:4294967296", ":::", "#ana:100000:5 ", "ana :100000"};
	char text[256];

	(void)state;
	/* root is nobody's subordinate */
	assert_owner("ana:0:65536\n", PASSWD, 0, 0);
	assert_owner("new:0:5\n", PASSWD, 4, 4);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		(void)snprintf(text, sizeof(text), "%s\nben:200000:5", lines[i]);
		if (lines[i][0] != '#')
			assert_owner(text, PASSWD, 100000, 100000);
		assert_owner(text, PASSWD, 200004, 1001);
	}
	/* up to the last uid that there can be */
	assert_owner("ana:4294967294:4294967295\n", PASSWD, 4294967294U, 1000);
	assert_owner("ana:1:4294967295\n", PASSWD, 4294967294U, 1000);
	/* of ranges that overlap, the one that begins last */
	assert_owner("ana:100000:100\nben:100010:10\n", PASSWD, 100015, 1001);
}

static void test_many(void **state)
{
	const size_t n = SUBUIDS_MAX + 10;
	char *text = malloc(n * 32), *at = text;
	struct subuids subuids;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "ana:%zu:2\n", 100000 + 2 * i);
	subuids = parse(text, PASSWD);
	assert_int_equal(subuids.n, SUBUIDS_MAX);
	assert_int_equal(subuids_owner(&subuids, 100001), 1000);
	subuids_deinit(&subuids);
	free(text);
}

static void test_no_file(void **state)
{
	struct subuids subuids;

	(void)state;
	assert_int_equal(subuids_read("/nowhere", "/dev/zero", &subuids), 0);
	assert_int_equal(subuids.n, 0);
	subuids_deinit(&subuids);
}

static void test_quota(void **state)
{
	struct quota quota = {.subuids = parse("ana:100000:65536\n", PASSWD)};

	(void)state;
	for (uid_t uid = 100000; uid < 100010; uid++)
		assert_int_equal(quota_add(&quota, uid), 0);
	assert_int_equal(quota_add(&quota, 1000), 0);
	assert_int_equal(quota_add(&quota, 1001), 0);
	assert_int_equal(quota_add(&quota, 0), 0);
	assert_int_equal(quota_count(&quota, 1000), 11);
	assert_int_equal(quota_count(&quota, 165000), 11);
	assert_int_equal(quota_count(&quota, 1001), 1);
	assert_int_equal(quota_count(&quota, 0), 0);
	assert_int_equal(quota.n, 12);
	assert_int_equal(quota_most(&quota), 11);
	for (uid_t uid = 100000; uid < 100010; uid++)
		quota_remove(&quota, uid);
	quota_remove(&quota, 1000);
	assert_int_equal(quota_most(&quota), 1);
	assert_int_equal(quota_count(&quota, 1000), 0);
	quota_remove(&quota, 1001);
	assert_int_equal(quota.n, 0);
	assert_int_equal(quota.n_owners, 0);
	quota_deinit(&quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_quota),
	};

	return cmocka_run_group_tests_name("subuids", tests, NULL, NULL);
}
