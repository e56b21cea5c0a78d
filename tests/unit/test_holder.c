/* SPDX-License-Identifier: BSD-3-Clause */

/* Held sockets: their holders, their order, and that each is closed once */

#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "descriptors.h"
#include "holder/holder.h"
#include "util/macro.h"

static size_t n_before;

static void close_at_once(int fd, void *userdata)
{
	assert_ptr_equal(userdata, &n_before);
	assert_return_code(close(fd), errno);
}

static int holder_dup(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return own < 0 ? -errno : holder_hold_consume(holder, name, cookie, own, pid);
}

static int set_up(void **state)
{
	struct holder *holder;

	n_before = descriptors_count();
	holder = holder_new(NULL, close_at_once, &n_before);
	assert_non_null(holder);
	*state = holder;
	return 0;
}

static int tear_down(void **state)
{
	assert_null(holder_free(*state));
	assert_int_equal(descriptors_count(), n_before);
	return 0;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	return fd;
}

static void assert_same_file(int a, int b)
{
	struct stat first, second;

	assert_return_code(fstat(a, &first), errno);
	assert_return_code(fstat(b, &second), errno);
	assert_true(first.st_dev == second.st_dev && first.st_ino == second.st_ino);
}

static void test_dup(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null"), zero = open_file("/dev/zero");
	char name[] = "web";
	const struct holder_entry *entry;

	assert_int_equal(holder_count(holder), 0);
	assert_null(holder_find(holder, "web", 1));
	assert_int_equal(holder_dup(holder, name, 1, null, 10), 0);
	assert_int_equal(holder_dup(holder, "web", 2, zero, 10), 0);
	assert_int_equal(holder_dup(holder, "www", 1, zero, 11), 0);
	memset(name, 'x', strlen(name)); /* it has its own */
	assert_int_equal(holder_count(holder), 3);
	assert_int_equal(descriptors_count(), n_before + 2 + 3);

	entry = holder_find(holder, "web", 1);
	assert_non_null(entry);
	assert_string_equal(entry->name, "web");
	assert_int_equal(entry->cookie, 1);
	assert_int_equal(entry->pid, 10);
	assert_int_not_equal(entry->fd, null);
	assert_int_equal(fcntl(entry->fd, F_GETFD), FD_CLOEXEC);
	assert_same_file(entry->fd, null);
	assert_same_file(holder_find(holder, "web", 2)->fd, zero);
	assert_int_equal(holder_find(holder, "www", 1)->pid, 11);
	assert_null(holder_find(holder, "web", 3));
	assert_null(holder_find(holder, "ww", 1));
	assert_null(holder_find(holder, "web2", 2));
	assert_null(holder_find(holder, "web", UINT64_C(1) << 32 | 1));

	/* the copy outlives the original */
	closep(&null);
	null = -1;
	assert_return_code(fcntl(entry->fd, F_GETFD), errno);
}

static void test_dup_again(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null"), zero = open_file("/dev/zero");
	int held;

	assert_int_equal(holder_dup(holder, "web", 7, null, 10), 0);
	held = holder_find(holder, "web", 7)->fd;
	assert_int_equal(holder_dup(holder, "web", 7, zero, 11), 0);
	assert_int_equal(holder_count(holder), 1);
	assert_int_equal(descriptors_count(), n_before + 2 + 1);
	assert_int_equal(holder_find(holder, "web", 7)->fd, held);
	assert_same_file(held, null);
	assert_int_equal(holder_find(holder, "web", 7)->pid, 11);
}

static void test_drop(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");
	static const uint64_t left[] = {1, 3, 4};

	for (uint64_t cookie = 1; cookie <= 5; cookie++)
		assert_int_equal(holder_dup(holder, "web", cookie, null, 10), 0);
	assert_int_equal(descriptors_count(), n_before + 1 + 5);
	assert_false(holder_drop(holder, "web", 6));
	assert_false(holder_drop(holder, "www", 1));
	assert_int_equal(holder_count(holder), 5);
	assert_true(holder_drop(holder, "web", 5));
	assert_true(holder_drop(holder, "web", 2));
	assert_false(holder_drop(holder, "web", 2));
	assert_int_equal(descriptors_count(), n_before + 1 + 3);

	/* the others keep their order */
	assert_int_equal(holder_count(holder), ARRAY_SIZE(left));
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		assert_int_equal(holder_get(holder, i)->cookie, left[i]);
		assert_string_equal(holder_get(holder, i)->name, "web");
	}
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		assert_true(holder_drop(holder, "web", left[i]));
	assert_int_equal(holder_count(holder), 0);
	assert_int_equal(descriptors_count(), n_before + 1);
	assert_int_equal(holder_dup(holder, "web", 1, null, 10), 0);
}

/* Random lives, against a table: sockets under several names, in any order of cookies. */
static void test_lives(void **state)
{
	enum { NAMES = 3, COOKIES = 40 };
	static const char *const names[NAMES] = {"a", "b", "c"};
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");
	pid_t pids[NAMES][COOKIES] = {};
	size_t n = 0;

	srandom(1);
	for (unsigned step = 1; step < 5000; step++) {
		unsigned name = (unsigned)random() % NAMES, cookie = (unsigned)random() % COOKIES;
		pid_t *pid = &pids[name][cookie];
		const struct holder_entry *entry = holder_find(holder, names[name], cookie);

		assert_true(entry ? entry->pid == *pid : *pid == 0);
		if (random() % 2) {
			n += !*pid;
			*pid = (pid_t)step;
			assert_int_equal(holder_dup(holder, names[name], cookie, null, *pid), 0);
		} else {
			assert_int_equal(holder_drop(holder, names[name], cookie), *pid != 0);
			n -= *pid != 0;
			*pid = 0;
		}
		assert_int_equal(holder_count(holder), n);
		assert_int_equal(descriptors_count(), n_before + 1 + n);
	}
}

static void test_drop_by_own_name(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");
	const struct holder_entry *entry;

	assert_int_equal(holder_dup(holder, "web", 1, null, 10), 0);
	assert_int_equal(holder_dup(holder, "web", 2, null, 10), 0);
	entry = holder_get(holder, 0);
	assert_true(holder_drop(holder, entry->name, entry->cookie));
	assert_int_equal(holder_get(holder, 0)->cookie, 2);
}

static void test_owners(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");

	for (uint64_t cookie = 0; cookie < 6; cookie++)
		assert_int_equal(holder_dup(holder, "web", cookie, null, 10 + (pid_t)cookie % 2), 0);
	holder_orphan(holder, 10);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(holder_get(holder, i)->pid, i % 2 ? 11 : 0);
	holder_orphan(holder, 10); /* again, and a process that held nothing */
	holder_orphan(holder, 12);
	holder_adopt(holder, 2, 12);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(holder_get(holder, i)->pid, i % 2 ? 11 : i == 2 ? 12 : 0);
	holder_adopt(holder, 1, 12); /* claimed while the previous process still runs, which then ends */
	holder_orphan(holder, 11);
	assert_int_equal(holder_get(holder, 1)->pid, 12);
	assert_int_equal(holder_get(holder, 3)->pid, 0);
	assert_int_equal(descriptors_count(), n_before + 1 + 6);
}

static void test_no_descriptor(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");
	struct rlimit limit;
	int r;

	assert_int_equal(holder_dup(holder, "web", 1, null, 10), 0);
	limit = descriptors_forbid();
	r = holder_dup(holder, "web", 2, null, 10);
	holder_assign(holder, "web", 1, 11); /* needs none */
	descriptors_allow(&limit);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(holder_count(holder), 1);
	assert_null(holder_find(holder, "web", 2));
	assert_int_equal(holder_find(holder, "web", 1)->pid, 11);
	assert_int_equal(descriptors_count(), n_before + 1 + 1);
	assert_int_equal(holder_dup(holder, "web", 2, null, 10), 0);
}

static void test_nothing_held(void **state)
{
	struct holder *holder = *state;

	holder_assign(holder, "web", 1, 10);
	assert_int_equal(holder_count(holder), 0);
	assert_false(holder_drop(holder, "web", 1));
}

static void test_many(void **state)
{
	struct holder *holder = *state;
	_cleanup_close_ int null = open_file("/dev/null");
	char name[16];

	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "name%u", i % 7);
		assert_int_equal(holder_dup(holder, name, i, null, 1), 0);
	}
	assert_int_equal(holder_count(holder), 500);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(holder_get(holder, i)->cookie, i);
	for (unsigned i = 0; i < 500; i += 2) {
		(void)snprintf(name, sizeof(name), "name%u", i % 7);
		assert_true(holder_drop(holder, name, i));
	}
	assert_int_equal(holder_count(holder), 250);
	assert_int_equal(descriptors_count(), n_before + 1 + 250);
}

static void test_free_nothing(void **state)
{
	(void)state;
	assert_null(holder_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dup, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dup_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drop_by_own_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test(test_free_nothing),
	};

	return cmocka_run_group_tests_name("holder", tests, NULL, NULL);
}
