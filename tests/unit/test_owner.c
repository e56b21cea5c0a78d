/* SPDX-License-Identifier: BSD-3-Clause */

/* Whose sockets may be discovered for a name */

#undef NDEBUG
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/access.h"
#include "rule_text.h"
#include "util/macro.h"

#define SOCKET "[Discover]\nSocket=22\n"
#define SSHD "/usr/sbin/sshd"

static gid_t some_groups[] = {50, 60};

#define ROOT                                                                                                 \
	{                                                                                                    \
		.uid = 0, .gid = 0, .unit = "ssh.service"                                                    \
	}
#define PERSON(u, unit_name)                                                                                 \
	{                                                                                                    \
		.uid = u, .gid = u, .groups = some_groups, .n_groups = 2, .unit = unit_name                  \
	}

static const struct {
	const char *sections;
	struct identity owner;
	const char *executable;
	bool allowed;
} decisions[] = {
	/* without the section none, not even root's */
	{"", ROOT, SSHD, false},
	{"[Access]\nUser=1000\n", PERSON(1000, ""), SSHD, false},
	/* with nothing else: root, and users who may hand in */
	{SOCKET, ROOT, SSHD, true},
	{SOCKET, ROOT, NULL, true},
	{SOCKET, PERSON(1000, "ssh.service"), SSHD, false},
	{SOCKET "[Access]\nUser=1000\n", PERSON(1000, ""), SSHD, true},
	{SOCKET "[Access]\nUser=1000\n", PERSON(1001, ""), SSHD, false},
	{SOCKET "[Access]\nUser=1000\nUnit=a.service\n", PERSON(1000, "a.service"), SSHD, true},
	{SOCKET "[Access]\nUser=1000\nUnit=a.service\n", PERSON(1000, "b.service"), SSHD, false},
	{SOCKET "[Access]\nGroup=60\n", PERSON(1000, ""), SSHD, true},
	{SOCKET "[Access]\nGroup=61\n", PERSON(1000, ""), SSHD, false},
	{SOCKET "[Access]\n", PERSON(1000, ""), SSHD, false},
	/* User= replaces [Access], and root is always allowed */
	{SOCKET "User=1000\n", PERSON(1000, ""), SSHD, true},
	{SOCKET "User=1000 1001\nUser=1002\n", PERSON(1002, ""), SSHD, true},
	{SOCKET "User=1000\n", PERSON(1001, ""), SSHD, false},
	{SOCKET "User=1000\n", ROOT, SSHD, true},
	{SOCKET "User=1000\n[Access]\nUser=1001\n", PERSON(1001, ""), SSHD, false},
	{SOCKET "User=1000\n[Access]\nUser=1001\n", PERSON(1000, ""), SSHD, true},
	{SOCKET "User=1000\nUser=\n", PERSON(1000, ""), SSHD, false},
	{SOCKET "User=50\n", PERSON(1000, ""), SSHD, false}, /* a user, not a group */
	/* Unit= is enough for any user, and restricts even root */
	{SOCKET "Unit=ssh.service\n", PERSON(1000, "ssh.service"), SSHD, true},
	{SOCKET "Unit=ssh.service\n", PERSON(1000, "ssh.socket"), SSHD, false},
	{SOCKET "Unit=ssh.service\n", PERSON(1000, ""), SSHD, false},
	{SOCKET "Unit=*\n", PERSON(1000, "a.scope"), SSHD, true},
	{SOCKET "Unit=*\n", PERSON(1000, ""), SSHD, false}, /* no unit at all */
	{SOCKET "Unit=*\n", {.uid = 0, .unit = ""}, SSHD, false},
	{SOCKET "Unit=a.service ssh@*.service\n", PERSON(1000, "ssh@b.service"), SSHD, true},
	{SOCKET "Unit=ssh.service\n", ROOT, SSHD, true},
	{SOCKET "Unit=a.service\n", ROOT, SSHD, false},
	{SOCKET "Unit=ssh.service\n[Access]\nUser=1001\n", PERSON(1000, "ssh.service"), SSHD, true},
	{SOCKET "User=1000\nUnit=ssh.service\n", PERSON(1000, "ssh.service"), SSHD, true},
	{SOCKET "User=1000\nUnit=ssh.service\n", PERSON(1001, "ssh.service"), SSHD, false},
	{SOCKET "User=1000\nUnit=ssh.service\n", PERSON(1000, "a.service"), SSHD, false},
	{SOCKET "User=1000\nUnit=ssh.service\n", ROOT, SSHD, true},
	/* Executable= restricts everybody and allows nobody: anybody can run a program */
	{SOCKET "Executable=/usr/sbin/sshd\n", ROOT, SSHD, true},
	{SOCKET "Executable=/usr/sbin/sshd\n", ROOT, "/tmp/sshd", false},
	{SOCKET "Executable=/usr/sbin/sshd\n", ROOT, "/usr/sbin/sshd2", false},
	{SOCKET "Executable=/usr/sbin/sshd\n", PERSON(1000, "ssh.service"), SSHD, false},
	{SOCKET "User=1000\nExecutable=/usr/sbin/sshd\n", PERSON(1000, ""), SSHD, true},
	{SOCKET "User=1000\nExecutable=/usr/sbin/sshd\n", PERSON(1000, ""), "/bin/sh", false},
	{SOCKET "User=1000\nExecutable=/bin/a /usr/sbin/sshd\n", PERSON(1001, ""), SSHD, false},
	{SOCKET "Executable=/bin/a /usr/sbin/sshd\n", ROOT, SSHD, true},
	{SOCKET "Executable=/usr/sbin/*\n", ROOT, SSHD, true},
	{SOCKET "Executable=/usr/s?in/sshd\n", ROOT, SSHD, true},
	/* wildcards do not match '/' */
	{SOCKET "Executable=/usr/*\n", ROOT, SSHD, false},
	{SOCKET "Executable=/*/sshd\n", ROOT, SSHD, false},
	{SOCKET "Executable=/usr?sbin/sshd\n", ROOT, SSHD, false},
	{SOCKET "Executable=/usr[/]sbin/sshd\n", ROOT, SSHD, false},
	{SOCKET "Executable=/usr/*/sshd\n", ROOT, SSHD, true},
	/* what another check covers is not checked here */
	{SOCKET "Executable=/bin/a\n", ROOT, NULL, true},
	{SOCKET "Executable=/bin/a\n", PERSON(1000, ""), NULL, false},
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(decisions); i++) {
		struct one one = make_one(decisions[i].sections);
		struct refusal refusal = {.error = 0};
		int r = access_check_owner(one.table, &one.set->rules[0], &decisions[i].owner,
			decisions[i].executable, &refusal);

		if (r != (decisions[i].allowed ? 0 : REFUSED))
			fail_msg("case %zu: '%s' gives %d", i, decisions[i].sections, r);
		if (r)
			assert_int_equal(refusal.error, EACCES);
		free_one(&one);
	}
}

static void test_reasons(void **state)
{
	static const struct {
		const char *sections;
		struct identity owner;
		const char *executable, *text;
	} cases[] = {
		{"", ROOT, SSHD,
			"sockets of the name 'web' are not discovered (EACCES); to allow it, add [Discover] to /etc/usher/rules.d/web.rule"},
		{SOCKET "Unit=a.service\n", ROOT, SSHD,
			"unit 'ssh.service' may not own a socket of the name 'web' (EACCES); Unit= under [Discover] in /etc/usher/rules.d/web.rule does not match it"},
		{SOCKET "Unit=*\n", PERSON(1000, ""), SSHD,
			"unit '(none)' may not own a socket of the name 'web' (EACCES); Unit= under [Discover] in /etc/usher/rules.d/web.rule does not match it"},
		{SOCKET "Executable=/bin/a\n", ROOT, SSHD,
			"program '/usr/sbin/sshd' may not own a socket of the name 'web' (EACCES); Executable= under [Discover] in /etc/usher/rules.d/web.rule does not match it"},
		{SOCKET "Executable=/bin/a\n", ROOT, "/tmp/\033[2J",
			"program '/tmp/?[2J' may not own a socket of the name 'web' (EACCES); Executable= under [Discover] in /etc/usher/rules.d/web.rule does not match it"},
		{SOCKET "User=1001\n", PERSON(1000, ""), SSHD,
			"uid 1000 may not own a socket of the name 'web' (EACCES); User= under [Discover] in /etc/usher/rules.d/web.rule does not list it"},
		{SOCKET, PERSON(1000, ""), SSHD,
			"only root may own a socket of the name 'web', not uid 1000 (EACCES); to allow it, add User= under [Discover] in /etc/usher/rules.d/web.rule"},
		{SOCKET "[Access]\nUser=1001\n", PERSON(1000, ""), SSHD,
			"uid 1000 may not use the name 'web' (EACCES); User= in /etc/usher/rules.d/web.rule does not list it"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct one one = make_one(cases[i].sections);
		struct refusal refusal;

		assert_int_equal(access_check_owner(one.table, &one.set->rules[0], &cases[i].owner,
					 cases[i].executable, &refusal),
			REFUSED);
		assert_string_equal(refusal.text, cases[i].text);
		free_one(&one);
	}
}

/* A long program name does not push the key to edit out of the message. */
static void test_long_executable(void **state)
{
	struct one one = make_one(SOCKET "Executable=/bin/a\n");
	struct identity owner = ROOT;
	struct refusal refusal;
	char executable[4096];

	(void)state;
	memset(executable, 'a', sizeof(executable) - 1);
	executable[0] = '/';
	executable[sizeof(executable) - 1] = '\0';
	assert_int_equal(
		access_check_owner(one.table, &one.set->rules[0], &owner, executable, &refusal), REFUSED);
	assert_non_null(strstr(refusal.text, "Executable= under [Discover] in /etc/usher/rules.d/web.rule"));
	free_one(&one);
}

/* Each rule of a set has its own users, as numbers and in the order of the file. */
static void test_uids(void **state)
{
	static const struct given given[] = {
		{"a", "[Rule]\nStream=80\n[Discover]\nSocket=22\nUser=1000 daemon\nUser=0\n"},
		{"b", "[Rule]\nStream=81\n[Access]\nUser=1003\n"},
		{"c", "[Rule]\nStream=82\n[Access]\nUser=1001\n[Discover]\nSocket=22\nUser=4294967294\n"},
	};
	const struct passwd *user = getpwnam("daemon");
	_cleanup_(rule_set_freep) struct rule_set *set = make_set(given, ARRAY_SIZE(given));
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	uid_t uids[8];
	size_t n;

	(void)state;
	assert_non_null(user);
	assert_int_equal(access_table_new(set, NULL, &table), 0);
	/* before it is looked up, a name has no number */
	assert_int_equal(access_discover_uids(table, &set->rules[0], uids, 8), 2);
	assert_int_equal(access_table_look_up(table), 0);
	n = access_discover_uids(table, &set->rules[0], uids, 8);
	assert_int_equal(n, 3);
	assert_int_equal(uids[0], 1000);
	assert_int_equal(uids[1], user->pw_uid);
	assert_int_equal(uids[2], 0);
	assert_int_equal(access_discover_uids(table, &set->rules[0], uids, 2), 2);
	assert_int_equal(access_discover_uids(table, &set->rules[1], uids, 8), 0);
	n = access_discover_uids(table, &set->rules[2], uids, 8);
	assert_int_equal(n, 1);
	assert_int_equal(uids[0], 4294967294U);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_long_executable),
		cmocka_unit_test(test_uids),
	};

	return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
