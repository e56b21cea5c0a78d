/* SPDX-License-Identifier: BSD-3-Clause */

/* Who may use a name, and where a socket may be bound: rules from text, users and groups of this host */

#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <grp.h>
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
#include "util/clock.h"
#include "util/macro.h"

/* ---- users and groups */

static void test_unknown_accounts(void **state)
{
	static const struct given given[] = {
		{"a", "[Rule]\nStream=80\n[Access]\nUser=root no-such-user-1\nGroup=root\nGroup=no-such-group-1\n"},
		{"b", "[Rule]\nStream=81\n[Access]\nUser=\nUser=no-such-user-2\n"},
		{"c", "[Rule]\nStream=82\n[Access]\nUser=daemon 0\n"},
		{"d", "[Rule]\nStream=83\n[Discover]\nSocket=22\nUser=0 no-such-user-3\n"},
	};
	static const struct {
		const char *file;
		unsigned line;
		const char *text;
	} expected[] = {
		{"/etc/usher/rules.d/a.rule", 4,
			"there is no user 'no-such-user-1' on this host, so the word admits nobody until there is one; create it or give its number"},
		{"/etc/usher/rules.d/a.rule", 6,
			"there is no group 'no-such-group-1' on this host, so the word admits nobody until there is one; create it or give its number"},
		{"/etc/usher/rules.d/b.rule", 5,
			"there is no user 'no-such-user-2' on this host, so the word admits nobody until there is one; create it or give its number"},
		{"/etc/usher/rules.d/d.rule", 5,
			"there is no user 'no-such-user-3' on this host, so the word admits nobody until there is one; create it or give its number"},
	};
	_cleanup_(rule_set_freep) struct rule_set *set = make_set(given, ARRAY_SIZE(given));
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	struct problems warnings = PROBLEMS_NULL;

	(void)state;
	assert_int_equal(access_table_new(set, NULL, &table), 0);
	/* nothing is said of what nobody has asked about */
	assert_int_equal(access_table_warn(table, &warnings), 0);
	assert_int_equal(warnings.n, 0);
	assert_int_equal(access_table_look_up(table), 0);
	assert_int_equal(access_table_warn(table, &warnings), 0);
	assert_int_equal(warnings.n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < warnings.n; i++) {
		assert_string_equal(warnings.items[i].file, expected[i].file);
		assert_int_equal(warnings.items[i].line, expected[i].line);
		assert_string_equal(warnings.items[i].text, expected[i].text);
	}
	problems_deinit(&warnings);
}

/* A word without a number admits nobody, neither root's group nor uid 0 by its zero; the other words admit as ever. */
static void test_unknown_admits_nobody(void **state)
{
	struct one one = make_one("[Access]\nUser=no-such-user 1000\n"),
		   other = make_one("[Access]\nGroup=no-such-group\n");
	struct identity identity = {.uid = 1000, .gid = 0, .unit = ""};
	struct refusal refusal;

	(void)state;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), 0);
	assert_int_equal(access_check(other.table, &other.set->rules[0], &identity, &refusal), REFUSED);
	assert_string_equal(refusal.text,
		"uid 1000 may not use the name 'web' (EACCES); of the groups that Group= in /etc/usher/rules.d/web.rule lists, this host does not know 'no-such-group'");
	identity.uid = 1001;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), REFUSED);
	assert_string_equal(refusal.text,
		"uid 1001 may not use the name 'web' (EACCES); of the users that User= in /etc/usher/rules.d/web.rule lists, this host does not know 'no-such-user'");
	free_one(&one);
	free_one(&other);
}

static void count_doubt(struct account *account, void *userdata)
{
	(void)account;
	(*(unsigned *)userdata)++;
}

static unsigned doubts(const struct access_table *table, const struct rule *rule, uid_t uid, uint64_t now)
{
	const struct identity identity = {.uid = uid, .gid = 5, .unit = ""};
	unsigned n = 0;

	access_doubts(table, rule, &identity, now, count_doubt, &n);
	return n;
}

/* What is looked up again before a request is decided: what could admit it, and what was asked for long ago */
static void test_doubts(void **state)
{
	static const struct given given[] = {
		{"a", "[Rule]\nStream=80\n[Access]\nUser=one two 1000\n"},
		{"b", "[Rule]\nStream=81\n"},
	};
	const uint64_t later = (ACCESS_FRESH_SEC + 2) * CLOCK_USEC_PER_SEC;
	_cleanup_(rule_set_freep) struct rule_set *set = make_set(given, ARRAY_SIZE(given));
	_cleanup_(accounts_freep) struct accounts *accounts = accounts_new();
	struct access_table *table = NULL, *second = NULL;
	struct account *one;

	(void)state;
	assert_int_equal(access_table_new(set, accounts, &table), 0);
	assert_int_equal(access_table_new(set, accounts, &second), 0);
	one = accounts_use(accounts, ACCOUNT_USER, "one");
	assert_int_equal(doubts(table, &set->rules[0], 0, 1), 0);
	assert_int_equal(doubts(table, &set->rules[1], 500, 1), 0);
	assert_int_equal(doubts(table, &set->rules[0], 500, 1), 2);
	assert_int_equal(doubts(table, &set->rules[0], 1000, 1), 0);
	/* the answer is both tables' */
	assert_true(account_answer(one, 0, 500, CLOCK_USEC_PER_SEC));
	assert_int_equal(doubts(table, &set->rules[0], 500, CLOCK_USEC_PER_SEC), 0);
	assert_int_equal(doubts(second, &set->rules[0], 500, CLOCK_USEC_PER_SEC), 0);
	assert_int_equal(doubts(table, &set->rules[0], 501, CLOCK_USEC_PER_SEC), 1);
	assert_int_equal(doubts(table, &set->rules[0], 500, later), 1);
	/* who does not answer takes nothing away; who says that there is none does */
	assert_false(account_answer(one, -ETIMEDOUT, 0, later));
	assert_int_equal(doubts(table, &set->rules[0], 500, later), 0);
	assert_true(account_answer(one, ACCOUNT_ABSENT, 0, later));
	assert_int_equal(doubts(table, &set->rules[0], 500, later), 2);
	accounts_drop(accounts, one);
	access_table_free(table);
	access_table_free(second);
}

/* A user and a group of the same name are different things. */
static void test_user_is_no_group(void **state)
{
	_cleanup_(rule_set_freep) struct rule_set *set = make_set(
		&(struct given){"a", "[Rule]\nStream=80\n[Access]\nUser=nogroup\nGroup=nobody\n"}, 1);
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	struct problems warnings = PROBLEMS_NULL;
	size_t n = (getpwnam("nogroup") == NULL) + (getgrnam("nobody") == NULL);

	(void)state;
	assert_int_equal(access_table_new(set, NULL, &table), 0);
	assert_int_equal(access_table_look_up(table), 0);
	assert_int_equal(access_table_warn(table, &warnings), 0);
	assert_int_equal(warnings.n, n);
	problems_deinit(&warnings);
}

static void test_empty_set(void **state)
{
	struct rule_set set = {.n_rules = 0};
	struct access_table *table = NULL;

	(void)state;
	assert_int_equal(access_table_new(&set, NULL, &table), 0);
	assert_non_null(table);
	assert_int_equal(access_table_look_up(table), 0);
	assert_null(access_table_free(table));
	assert_null(access_table_free(NULL));
}

static void test_numbers(void **state)
{
	struct one one = make_one("[Access]\nUser=1000 4294967294\nGroup=0 4294967294\n");
	struct identity identity = {.uid = 1000, .gid = 0, .unit = ""};
	struct refusal refusal;

	(void)state;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), 0);
	identity.uid = 4294967294U;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), 0);
	identity.gid = 4294967294U;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), 0);
	identity.gid = 1;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), REFUSED);
	identity.gid = 0;
	/* (uid_t) -1, which the parser does not accept as a number */
	identity.uid = 4294967295U;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), REFUSED);
	free_one(&one);
}

static void test_names(void **state)
{
	const struct passwd *user = getpwnam("daemon");
	const struct group *group = getgrnam("daemon");
	struct one one = make_one("[Access]\nUser=daemon\nGroup=daemon\n");
	struct identity identity = {.unit = ""};
	struct refusal refusal;

	(void)state;
	assert_non_null(user);
	assert_non_null(group);
	identity.uid = user->pw_uid;
	identity.gid = group->gr_gid;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), 0);
	identity.uid++;
	assert_int_equal(access_check(one.table, &one.set->rules[0], &identity, &refusal), REFUSED);
	free_one(&one);
}

/* ---- the decision */

static gid_t some_groups[] = {50, 60, 70};

#define NOBODY                                                                                               \
	{                                                                                                    \
		.uid = 65534, .gid = 65534, .unit = ""                                                       \
	}
#define PERSON(u, g, n, unit_name)                                                                           \
	{                                                                                                    \
		.uid = u, .gid = g, .groups = some_groups, .n_groups = n, .unit = unit_name                  \
	}

#define OF_USER(u, name)                                                                                     \
	{                                                                                                    \
		.uid = u, .gid = u, .unit = "user@1000.service", .user_unit = name                           \
	}

static const struct {
	const char *access;
	struct identity identity;
	bool allowed;
} decisions[] = {
	/* root is always allowed, whatever the section has */
	{"", {.uid = 0, .gid = 0, .unit = ""}, true},
	{"[Access]\nUser=1000\n", {.uid = 0, .gid = 5, .unit = ""}, true},
	{"[Access]\nUnit=nginx.service\n", {.uid = 0, .gid = 5, .unit = "sshd.service"}, true},
	{"[Access]\nBound=any\n", {.uid = 0, .gid = 5, .unit = ""}, true},
	/* root's group is not root */
	{"", {.uid = 1000, .gid = 0, .unit = ""}, false},
	/* a section that lists nobody */
	{"", NOBODY, false},
	{"[Access]\n", NOBODY, false},
	{"[Access]\nBound=any\n", NOBODY, false},
	{"[Access]\nBound=127.0.0.0/8\n", NOBODY, false},
	{"[Access]\nUser=\nGroup=\nUnit=\n", NOBODY, false},
	{"[Access]\nUser=65534\nUser=\n", NOBODY, false},
	/* one key, one value */
	{"[Access]\nUser=1000\n", PERSON(1000, 1000, 0, ""), true},
	{"[Access]\nUser=1000\n", PERSON(1001, 1000, 3, "a.service"), false},
	{"[Access]\nGroup=1000\n", PERSON(1001, 1000, 0, ""), true},
	{"[Access]\nGroup=60\n", PERSON(1001, 1000, 3, ""), true},
	{"[Access]\nGroup=70\n", PERSON(1001, 1000, 3, ""), true},
	{"[Access]\nGroup=70\n", PERSON(1001, 1000, 2, ""), false},
	{"[Access]\nGroup=1001\n", PERSON(1001, 1000, 3, ""), false},
	{"[Access]\nGroup=0\n", PERSON(1001, 1000, 3, ""), false},
	{"[Access]\nUnit=a.service\n", PERSON(1001, 1000, 3, "a.service"), true},
	/* UserUnit= counts together with User= */
	{"[Access]\nUser=1000\nUserUnit=web.service\n", OF_USER(1000, "web.service"), true},
	{"[Access]\nUser=1000\nUserUnit=mail.service w*.service\n", OF_USER(1000, "web.service"), true},
	{"[Access]\nUser=1000\nUserUnit=web.service\n", OF_USER(1000, "mail.service"), false},
	{"[Access]\nUser=1000\nUserUnit=web.service\n", OF_USER(1001, "web.service"), false},
	{"[Access]\nUser=1000\nUserUnit=*\n", OF_USER(1000, NULL), false},
	{"[Access]\nUser=1000\nUserUnit=web.service\n", PERSON(1000, 1000, 0, "web.service"), false},
	{"[Access]\nUser=1000\nUnit=web.service\n", OF_USER(1000, "web.service"), false},
	{"[Access]\nUser=1000\nUnit=user@*\nUserUnit=web.service\n", OF_USER(1000, "web.service"), true},
	{"[Access]\nUnit=a.service\n", PERSON(1001, 1000, 3, "b.service"), false},
	{"[Access]\nUnit=a.service\n", PERSON(1001, 1000, 3, ""), false},
	/* values of one key add up, on one line or on several */
	{"[Access]\nUser=1000 1001\n", PERSON(1001, 1000, 0, ""), true},
	{"[Access]\nUser=1000\nUser=1001\n", PERSON(1000, 5, 0, ""), true},
	{"[Access]\nUser=1000\nUser=1001\n", PERSON(1001, 5, 0, ""), true},
	{"[Access]\nUser=1000\nUser=1001\n", PERSON(1002, 5, 0, ""), false},
	{"[Access]\nUser=1000\nUser=\nUser=1001\n", PERSON(1000, 5, 0, ""), false},
	{"[Access]\nGroup=5 6\nGroup=7\n", PERSON(1000, 7, 0, ""), true},
	{"[Access]\nGroup=5 6\nGroup=50\n", PERSON(1000, 7, 1, ""), true},
	{"[Access]\nUnit=a.service b.service\nUnit=c.service\n", PERSON(1, 1, 0, "c.service"), true},
	/* each key narrows */
	{"[Access]\nUser=1000\nGroup=60\n", PERSON(1000, 1, 3, ""), true},
	{"[Access]\nUser=1000\nGroup=60\n", PERSON(1000, 1, 1, ""), false},
	{"[Access]\nUser=1000\nGroup=60\n", PERSON(1001, 60, 3, ""), false},
	{"[Access]\nUser=1000\nUnit=a.service\n", PERSON(1000, 1, 0, "a.service"), true},
	{"[Access]\nUser=1000\nUnit=a.service\n", PERSON(1000, 1, 0, "b.service"), false},
	{"[Access]\nUser=1000\nUnit=a.service\n", PERSON(1001, 1, 0, "a.service"), false},
	{"[Access]\nGroup=1\nUnit=a.service\n", PERSON(1000, 1, 0, "a.service"), true},
	{"[Access]\nGroup=1\nUnit=a.service\n", PERSON(1000, 2, 0, "a.service"), false},
	{"[Access]\nUser=1000 1001\nGroup=1 2\nUnit=a.service b.*\n", PERSON(1001, 2, 0, "b.socket"), true},
	{"[Access]\nUser=1000 1001\nGroup=1 2\nUnit=a.service b.*\n", PERSON(1002, 2, 0, "b.socket"), false},
	{"[Access]\nUser=1000 1001\nGroup=1 2\nUnit=a.service b.*\n", PERSON(1001, 3, 3, "b.socket"), false},
	{"[Access]\nUser=1000 1001\nGroup=1 2\nUnit=a.service b.*\n", PERSON(1001, 2, 0, "c.socket"), false},
	{"[Access]\nUser=1000 1001\nGroup=1 2\nUnit=a.service b.*\n", PERSON(1001, 2, 0, ""), false},
	/* globs match the whole name; none matches "no unit" */
	{"[Access]\nUnit=*\n", PERSON(1, 1, 0, "a.service"), true},
	{"[Access]\nUnit=*\n", PERSON(1, 1, 0, ""), false},
	{"[Access]\nUnit=nginx*.service\n", PERSON(1, 1, 0, "nginx@blue.service"), true},
	{"[Access]\nUnit=nginx*.service\n", PERSON(1, 1, 0, "nginx.service"), true},
	{"[Access]\nUnit=nginx*.service\n", PERSON(1, 1, 0, "my-nginx.service"), false},
	{"[Access]\nUnit=nginx*.service\n", PERSON(1, 1, 0, "nginx.service.d"), false},
	{"[Access]\nUnit=web-?.service\n", PERSON(1, 1, 0, "web-1.service"), true},
	{"[Access]\nUnit=web-?.service\n", PERSON(1, 1, 0, "web-12.service"), false},
	{"[Access]\nUnit=web-[12].service\n", PERSON(1, 1, 0, "web-2.service"), true},
	{"[Access]\nUnit=web-[!12].service\n", PERSON(1, 1, 0, "web-2.service"), false},
	{"[Access]\nUnit=a.service\n", PERSON(1, 1, 0, "A.service"), false},
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(decisions); i++) {
		struct one one = make_one(decisions[i].access);
		struct refusal refusal = {.error = 0};
		int r = access_check(one.table, &one.set->rules[0], &decisions[i].identity, &refusal);

		if (r != (decisions[i].allowed ? 0 : REFUSED))
			fail_msg("case %zu: '%s' gives %d", i, decisions[i].access, r);
		if (r)
			assert_int_equal(refusal.error, EACCES);
		free_one(&one);
	}
}

/* Each rule of a set has its own list. */
static void test_rules_are_apart(void **state)
{
	static const struct given given[] = {
		{"a", "[Rule]\nStream=80\n[Access]\nUser=1000\n"},
		{"b", "[Rule]\nStream=81\n"},
		{"c", "[Rule]\nStream=82\n[Access]\nUser=1001\nGroup=5\n"},
	};
	static const struct identity people[] = {
		PERSON(1000, 5, 0, ""), PERSON(1001, 5, 0, ""), PERSON(5, 5, 0, "")};
	_cleanup_(rule_set_freep) struct rule_set *set = make_set(given, ARRAY_SIZE(given));
	_cleanup_(access_table_freep) struct access_table *table = NULL;
	struct refusal refusal;

	(void)state;
	assert_int_equal(access_table_new(set, NULL, &table), 0);
	for (size_t rule = 0; rule < 3; rule++)
		for (size_t person = 0; person < 3; person++) {
			bool allowed = (rule == 0 && person == 0) || (rule == 2 && person == 1);

			assert_int_equal(access_check(table, &set->rules[rule], &people[person], &refusal),
				allowed ? 0 : REFUSED);
		}
}

static void test_reasons(void **state)
{
	static const struct {
		const char *access;
		struct identity identity;
		const char *text;
	} cases[] = {
		{"", NOBODY,
			"only root may use the name 'web', not uid 65534 (EACCES); to allow it, add [Access] User= to /etc/usher/rules.d/web.rule"},
		{"[Access]\nBound=any\n", NOBODY,
			"only root may use the name 'web', not uid 65534 (EACCES); to allow it, add [Access] User= to /etc/usher/rules.d/web.rule"},
		{"[Access]\nUser=1000\nGroup=1\nUnit=a.service\n", NOBODY,
			"uid 65534 may not use the name 'web' (EACCES); User= in /etc/usher/rules.d/web.rule does not list it"},
		{"[Access]\nUser=65534\nGroup=1\nUnit=a.service\n", NOBODY,
			"uid 65534 may not use the name 'web' (EACCES); it is in no group that Group= in /etc/usher/rules.d/web.rule lists"},
		{"[Access]\nUser=65534\nGroup=65534\nUnit=a.service\n", NOBODY,
			"unit '(none)' may not use the name 'web' (EACCES); Unit= in /etc/usher/rules.d/web.rule does not match it"},
		{"[Access]\nUnit=a.service\n", PERSON(1, 1, 0, "b.service"),
			"unit 'b.service' may not use the name 'web' (EACCES); Unit= in /etc/usher/rules.d/web.rule does not match it"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct one one = make_one(cases[i].access);
		struct refusal refusal;

		assert_int_equal(
			access_check(one.table, &one.set->rules[0], &cases[i].identity, &refusal), REFUSED);
		assert_string_equal(refusal.text, cases[i].text);
		free_one(&one);
	}
}

/* ---- Bound= */

static void test_bound(void **state)
{
	static const struct {
		const char *access, *address;
		bool allowed;
	} cases[] = {
		/* the default */
		{"", "127.0.0.1", true},
		{"", "127.255.255.255", true},
		{"", "128.0.0.0", false},
		{"", "126.255.255.255", false},
		{"", "0.0.0.0", false},
		{"", "192.0.2.1", false},
		{"", "10.0.0.1", false},
		{"", "::1", true},
		{"", "::", false},
		{"", "::2", false},
		{"", "fc00::1", true},
		{"", "fdff::1", true},
		{"", "fe00::1", false},
		{"", "fe80::1", false},
		{"", "2001:db8::1", false},
		/* a v4-mapped address is refused here: inspect.h turns it into an IPv4 address before */
		{"", "::ffff:127.0.0.1", false},
		{"[Access]\nUser=1\n", "127.0.0.1", true},
		{"[Access]\nUser=1\n", "192.0.2.1", false},
		/* a value replaces the default */
		{"[Access]\nBound=192.0.2.0/24\n", "192.0.2.255", true},
		{"[Access]\nBound=192.0.2.0/24\n", "192.0.3.0", false},
		{"[Access]\nBound=192.0.2.0/24\n", "127.0.0.1", false},
		{"[Access]\nBound=192.0.2.0/24\n", "::1", false},
		{"[Access]\nBound=192.0.2.7\n", "192.0.2.7", true},
		{"[Access]\nBound=192.0.2.7\n", "192.0.2.6", false},
		{"[Access]\nBound=192.0.2.7 2001:db8::/32\nBound=198.51.100.1\n", "2001:db8::5", true},
		{"[Access]\nBound=192.0.2.7 2001:db8::/32\nBound=198.51.100.1\n", "198.51.100.1", true},
		{"[Access]\nBound=192.0.2.7 2001:db8::/32\nBound=198.51.100.1\n", "198.51.100.2", false},
		/* one family is not the other */
		{"[Access]\nBound=0.0.0.0/0\n", "0.0.0.0", true},
		{"[Access]\nBound=0.0.0.0/0\n", "::", false},
		{"[Access]\nBound=::/0\n", "::", true},
		{"[Access]\nBound=::/0\n", "0.0.0.0", false},
		{"[Access]\nBound=any\n", "0.0.0.0", true},
		{"[Access]\nBound=any\n", "::", true},
		{"[Access]\nBound=any\n", "::ffff:192.0.2.1", true},
		{"[Access]\nBound=any\nBound=\n", "192.0.2.1", false},
		{"[Access]\nBound=any\nBound=\n", "127.0.0.1", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct one one = make_one(cases[i].access);
		int family = strchr(cases[i].address, ':') ? AF_INET6 : AF_INET, r;
		struct refusal refusal = {.error = 0};
		uint8_t address[16] = {0};

		assert_int_equal(inet_pton(family, cases[i].address, address), 1);
		r = access_check_bound(&one.set->rules[0], family, address, 80, &refusal);
		if (r != (cases[i].allowed ? 0 : REFUSED))
			fail_msg("case %zu: %s gives %d", i, cases[i].address, r);
		if (r)
			assert_int_equal(refusal.error, EACCES);
		free_one(&one);
	}
}

static void test_bound_reasons(void **state)
{
	struct one one = make_one("");
	struct refusal refusal;
	uint8_t address[16] = {0};

	(void)state;
	assert_int_equal(access_check_bound(&one.set->rules[0], AF_INET, address, 443, &refusal), REFUSED);
	assert_string_equal(refusal.text,
		"is bound to 0.0.0.0:443, outside of Bound= of the rule 'web' (EACCES); bind it to a private address such as 127.0.0.2, or widen Bound= in /etc/usher/rules.d/web.rule");
	assert_int_equal(access_check_bound(&one.set->rules[0], AF_INET6, address, 65535, &refusal), REFUSED);
	assert_memory_equal(refusal.text, "is bound to [::]:65535, outside", 31);
	free_one(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_accounts),
		cmocka_unit_test(test_unknown_admits_nobody),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_user_is_no_group),
		cmocka_unit_test(test_empty_set),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_rules_are_apart),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_reasons),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
