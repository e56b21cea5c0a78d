/* SPDX-License-Identifier: BSD-3-Clause */

/* Texts of /proc about a process: this one's, and ones that no process has. */

#undef NDEBUG
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/macro.h"
#include "util/proc.h"

#define WHOLE                                                                                                \
	"Name:\tx\nTgid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 \nCapEff:\t00000000000000ff\n"

static void status_of_this_process(void **state)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	/* a line feed in the name does not make lines */
	assert_return_code(prctl(PR_SET_NAME, "x\nUid:\t9\t9"), errno);
	assert_int_equal(proc_read(AT_FDCWD, "/proc/self/status", &text), 0);
	assert_int_equal(proc_parse_status(text, &status), 0);
	assert_int_equal(status.group, getpid());
	assert_int_equal(status.uid, geteuid());
	assert_int_equal(status.gid, getegid());
	assert_int_equal(status.n_groups, getgroups(0, NULL));
}

static void fields_of_status(void **state)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};

	(void)state;
	assert_int_equal(proc_parse_status(WHOLE, &status), 0);
	assert_int_equal(status.group, 7);
	assert_int_equal(status.uid, 2);
	assert_int_equal(status.gid, 6);
	assert_int_equal(status.n_groups, 2);
	assert_int_equal(status.groups[0], 10);
	assert_int_equal(status.groups[1], 20);
	assert_int_equal(status.capabilities, 0xff);
}

static void bad_status(void **state)
{
	static const char *const bad[] = {
		"",
		"Tgid:\t7\nUid:\t1\t2\nGid:\t5\t6\n",
		"Tgid:\t7\nUid:\t1\t2\nGroups:\t\n",
		"Tgid:\t7\nGid:\t5\t6\nGroups:\t\n",
		"Uid:\t1\t2\nGid:\t5\t6\nGroups:\t\n",
		"Tgid:\t7\nUid:\t1\nGid:\t5\t6\nGroups:\t\n",
		"Tgid:\t7\nUid:\t1\t4294967296\nGid:\t5\t6\nGroups:\t\n",
		"Tgid:\t7\nUid:\t1\t-2\nGid:\t5\t6\nGroups:\t\n",
		"Tgid:\t7\nUid:\t1\t2x\nGid:\t5\t6\nGroups:\t\n",
		"Tgid:\t2147483648\nUid:\t1\t2\nGid:\t5\t6\nGroups:\t\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};

		if (proc_parse_status(bad[i], &status) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void stat_of_this_process(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct proc_stat stat;

	(void)state;
	assert_return_code(prctl(PR_SET_NAME, ") R 1 (\n"), errno);
	assert_int_equal(proc_read(AT_FDCWD, "/proc/self/stat", &text), 0);
	assert_int_equal(proc_parse_stat(text, &stat), 0);
	assert_string_equal(stat.name, ") R 1 (?");
	assert_true(stat.started > 0);
}

static void fields_of_stat(void **state)
{
	static const char *const bad[] = {"", "1", "1 (", "1 )", "1 )x(",
		"1 (x) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
		"1 (x) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 -22 23"};
	struct proc_stat stat;

	(void)state;
	assert_int_equal(
		proc_parse_stat("1 (a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23", &stat), 0);
	assert_string_equal(stat.name, "a");
	assert_int_equal(stat.started, 22);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_parse_stat(bad[i], &stat), -EBADMSG);
}

static void pids_of_pidfds(void **state)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	char path[64];
	pid_t pid;

	(void)state;
	assert_return_code(fd, errno);
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_int_equal(proc_read(AT_FDCWD, path, &text), 0);
	assert_true(proc_parse_pidfd(text, &pid));
	assert_int_equal(pid, getpid());
	assert_true(proc_parse_pidfd("pos:\t0\nPid:\t-1\nNSpid:\t-1\n", &pid));
	assert_int_equal(pid, -1);
	assert_true(proc_parse_pidfd("Pid:\t0\n", &pid));
	assert_int_equal(pid, 0);
	assert_false(proc_parse_pidfd("pos:\t0\nNSpid:\t1\n", &pid));
	assert_false(proc_parse_pidfd("Pid:\t\n", &pid));
	assert_false(proc_parse_pidfd("Pid:\t--1\n", &pid));
	assert_false(proc_parse_pidfd("Pid:\t2147483648\n", &pid));
}

static void what_cannot_be_read(void **state)
{
	char *text = NULL;

	(void)state;
	assert_int_equal(proc_read(AT_FDCWD, "/proc/self/none", &text), -ENOENT);
	assert_int_equal(proc_read(AT_FDCWD, "/proc/self/fd", &text), -EISDIR);
	assert_int_equal(proc_read(AT_FDCWD, "/dev/zero", &text), -EFBIG);
	assert_null(text);
}

static void user_units(void **state)
{
	static const struct {
		const char *cgroup, *unit;
	} cases[] = {
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/web.service",
			"web.service"},
		{"/user.slice/user-1000.slice/user@1000.service/web.service/below", "web.service"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/_cgroup.service", "cgroup.service"},
		{"/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope"},
		{"/x.slice/user@1000.service/a.service/user@0.service/b.service", "a.service"},
		/* what another user, or another manager, calls so */
		{"/user.slice/user-1001.slice/user@1001.service/app.slice/web.service", NULL},
		{"/user.slice/user-1000.slice/user@10000.service/app.slice/web.service", NULL},
		{"/user.slice/user-1001.slice/user@1001.service/user@1000.service/web.service", NULL},
		{"/user.slice/user-1000.slice/session-1.scope/user@1000.service/web.service", NULL},
		{"/system.slice/web.service", NULL},
		{"/system.slice/a.service/user@1000.service/web.service", NULL},
		/* nothing below */
		{"/user.slice/user-1000.slice/user@1000.service", NULL},
		{"/user.slice/user-1000.slice/user@1000.service/", NULL},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice", NULL},
		{"/user.slice/user-1000.slice/user@1000.service/_", NULL},
		{"/", NULL},
		{"", NULL},
		{"///", NULL},
		{".slice", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *unit = proc_find_user_unit(cases[i].cgroup, 1000);

		if (cases[i].unit)
			assert_string_equal(unit ? unit : "(none)", cases[i].unit);
		else
			assert_null(unit);
		free(unit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_of_this_process),
		cmocka_unit_test(fields_of_status),
		cmocka_unit_test(bad_status),
		cmocka_unit_test(stat_of_this_process),
		cmocka_unit_test(fields_of_stat),
		cmocka_unit_test(pids_of_pidfds),
		cmocka_unit_test(what_cannot_be_read),
		cmocka_unit_test(user_units),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
