/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which rule files a reload need not read again
 *
 * Every test has an empty folder with the directories etc and lib. The clock of the loads can be set forward or back,
 * so that no test has to wait until a file has been left alone for long enough. The clock of the file system is not
 * changed.
 */

#undef NDEBUG
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rule/file.h"
#include "rule/files.h"
#include "rule/rule.h"

static const char *const dirs[] = {"etc", "lib", NULL};

struct fixture {
	char folder[40];
	struct rule_set *before, *set; /* of the last two loads */
};

static time_t ahead; /* seconds */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = __real_clock_gettime(clock, ret);

	ret->tv_sec += ahead;
	return r;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->folder, "/tmp/usher-unchanged-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	assert_return_code(chdir(fixture->folder), errno);
	for (size_t i = 0; dirs[i]; i++)
		assert_return_code(mkdir(dirs[i], 0755), errno);
	ahead = 2 * FILE_SETTLED_SEC;
	*state = fixture;
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	ahead = 0;
	rule_set_free(fixture->before);
	rule_set_free(fixture->set);
	assert_return_code(chdir("/"), errno);
	assert_return_code(nftw(fixture->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), errno);
	free(fixture);
	return 0;
}

/* A rule with one port of two digits, so that all have the same size */
static void write_at_once(const char *path, unsigned port)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fprintf(file, "[Rule]\nStream=%02u\n[Access]\nUser=root\n", port) > 0);
	assert_int_equal(fclose(file), 0);
}

static bool is_over(struct statx_timestamp then)
{
	struct timespec now;

	assert_return_code(__real_clock_gettime(CLOCK_REALTIME_COARSE, &now), errno);
	return now.tv_sec > then.tv_sec || (now.tv_sec == then.tv_sec && now.tv_nsec > (long)then.tv_nsec);
}

/* The clock of the loads is ahead of the file system: wait, so that the next change gets another time. */
static void write_rule(const char *path, unsigned port)
{
	struct statx status;

	write_at_once(path, port);
	assert_return_code(statx(AT_FDCWD, path, 0, STATX_CTIME, &status), errno);
	while (!is_over(status.stx_ctime))
		assert_return_code(usleep(100), errno);
}

/* Load again. Return: a word for each rule: NAME:PORT, and a star if it is the rule of the previous load */
static const char *reload(struct fixture *fixture)
{
	static char text[256];
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set;
	size_t used = 0;

	assert_int_equal(files_reload(fixture->set, dirs, &set, &problems), 0);
	assert_int_equal(problems.n, 0);
	rule_set_free(fixture->before);
	fixture->before = fixture->set;
	fixture->set = set;
	text[0] = '\0';
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule *rule = &set->rules[i];
		const struct rule *old = fixture->before ? rule_set_find(fixture->before, rule->name) : NULL;
		bool same = old && rule_is_same(old, rule);

		if (old)
			assert_int_equal(same, old->matches == rule->matches);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s:%u%s ", rule->name,
			rule->matches[0].first, same ? "*" : "");
	}
	return text;
}

/* A file that has been loaded and would not be read again */
static void load_settled(struct fixture *fixture)
{
	write_rule("etc/a.rule", 10);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10* ");
}

static void unchanged_files_are_not_read_again(void **state)
{
	struct fixture *fixture = *state;

	write_rule("etc/a.rule", 10);
	write_rule("lib/b.rule", 20);
	assert_string_equal(reload(fixture), "a:10 b:20 ");
	assert_string_equal(reload(fixture), "a:10* b:20* ");
	write_rule("etc/a-b.rule", 30);
	write_rule("lib/b.rule", 21);
	assert_string_equal(reload(fixture), "a:10* a-b:30 b:21 ");
	assert_return_code(unlink("etc/a-b.rule"), errno);
	assert_string_equal(reload(fixture), "a:10* b:21* ");
}

static void a_rule_outlives_the_set_it_was_read_for(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	fixture->before = rule_set_free(fixture->before);
	assert_string_equal(fixture->set->rules[0].access.users.items[0].text, "root");
	assert_string_equal(reload(fixture), "a:10* ");
	assert_string_equal(reload(fixture), "a:10* ");
}

static void without_a_set_before_everything_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set;

	load_settled(fixture);
	assert_int_equal(files_load(dirs, &set, &problems), 0);
	assert_false(rule_is_same(&set->rules[0], &fixture->set->rules[0]));
	rule_set_free(set);
}

static void content_of_the_same_size_is_seen(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	write_rule("etc/a.rule", 11);
	assert_string_equal(reload(fixture), "a:11 ");
	assert_string_equal(reload(fixture), "a:11* ");
}

static void a_modification_time_that_is_put_back_deceives_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	load_settled(fixture);
	assert_return_code(stat("etc/a.rule", &status), errno);
	write_rule("etc/a.rule", 11);
	assert_return_code(
		utimensat(AT_FDCWD, "etc/a.rule", (struct timespec[]){status.st_atim, status.st_mtim}, 0),
		errno);
	assert_string_equal(reload(fixture), "a:11 ");
}

static void a_file_renamed_over_it_is_seen(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	write_rule("etc/new", 11);
	load_settled(fixture);
	assert_return_code(stat("etc/a.rule", &status), errno);
	assert_return_code(
		utimensat(AT_FDCWD, "etc/new", (struct timespec[]){status.st_atim, status.st_mtim}, 0),
		errno);
	assert_return_code(rename("etc/new", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:11 ");
}

static void another_size_is_seen(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	assert_return_code(truncate("etc/a.rule", strlen("[Rule]\nStream=1")), errno);
	assert_string_equal(reload(fixture), "a:1 ");
	assert_return_code(truncate("etc/a.rule", 0), errno);
	assert_string_equal(reload(fixture), "");
}

static void what_was_just_written_is_read_again(void **state)
{
	struct fixture *fixture = *state;

	ahead = 0;
	write_rule("etc/a.rule", 10);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10 ");
	ahead = 2 * FILE_SETTLED_SEC;
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10* ");
}

static void a_change_after_every_load_is_seen(void **state)
{
	struct fixture *fixture = *state;

	ahead = 0;
	for (unsigned i = 0; i < 500; i++) {
		unsigned port = 10 + i % 90;
		char expected[16];

		(void)snprintf(expected, sizeof(expected), "a:%u ", port);
		write_at_once("etc/a.rule", port);
		assert_string_equal(reload(fixture), expected);
	}
}

static void a_time_to_come_is_not_trusted(void **state)
{
	struct fixture *fixture = *state;

	ahead = -3600;
	write_rule("etc/a.rule", 10);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10 ");
}

static void a_clock_set_back_after_the_load_takes_nothing_away(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	ahead = -3600;
	assert_string_equal(reload(fixture), "a:10* ");
	write_rule("etc/a.rule", 11);
	assert_string_equal(reload(fixture), "a:11 ");
}

static void time_must_have_passed(void **state)
{
	struct file file = {.opened = {.tv_sec = 100, .tv_nsec = 5}};

	(void)state;
	file.status.stx_ctime.tv_sec = 100 - FILE_SETTLED_SEC;
	file.status.stx_ctime.tv_nsec = 5;
	assert_true(file_is_settled(&file));
	file.status.stx_ctime.tv_nsec = 6;
	assert_false(file_is_settled(&file));
	file.status.stx_ctime.tv_sec--;
	assert_true(file_is_settled(&file));
	file.status.stx_ctime.tv_sec = 101;
	assert_false(file_is_settled(&file));
}

static void all_that_tells_a_file_is_compared(void **state)
{
	struct problems problems = PROBLEMS_NULL;
	struct file file = FILE_NULL;
	struct file_identity identity;
	struct rule_origin *origin;
	struct stat status;

	(void)state;
	write_rule("a.rule", 10);
	assert_return_code(stat("a.rule", &status), errno);
	assert_int_equal(file_open("a.rule", &file, &problems), 0);
	origin = file_origin(&file);
	file_close(&file);
	assert_non_null(origin);
	identity = origin->identity;
	assert_int_not_equal(identity.mount, 0);
	assert_int_equal(identity.device, status.st_dev);
	assert_int_equal(identity.inode, status.st_ino);
	assert_int_equal(identity.size, status.st_size);
	assert_int_equal(identity.modified, status.st_mtim.tv_sec);
	assert_int_equal(identity.modified_nsec, status.st_mtim.tv_nsec);
	assert_int_equal(identity.changed, status.st_ctim.tv_sec);
	assert_int_equal(identity.changed_nsec, status.st_ctim.tv_nsec);
	assert_true(file_is_unchanged("a.rule", origin));
	assert_false(file_is_unchanged("b.rule", origin));
	for (size_t i = 0; i < sizeof(identity); i++) {
		((uint8_t *)&origin->identity)[i] ^= 1;
		assert_false(file_is_unchanged("a.rule", origin));
		origin->identity = identity;
	}
	free(origin);
}

static void masks_come_and_go(void **state)
{
	struct fixture *fixture = *state;

	write_rule("lib/a.rule", 10);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_return_code(symlink("/dev/null", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "");
	assert_return_code(unlink("etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	write_rule("etc/a.rule", 11);
	assert_string_equal(reload(fixture), "a:11 ");
	assert_return_code(unlink("etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10* ");
}

/* The path is part of what is reported about a rule. */
static void a_file_that_moves_is_read_again(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	assert_return_code(rename("etc/a.rule", "lib/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(fixture->set->rules[0].path, "lib/a.rule");
	assert_return_code(rename("lib/a.rule", "lib/b.rule"), errno);
	assert_string_equal(reload(fixture), "b:10 ");
	assert_return_code(link("lib/b.rule", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 b:10 ");
}

static void the_path_is_compared(void **state)
{
	struct fixture *fixture = *state;

	write_rule("x", 10);
	assert_return_code(symlink("../x", "lib/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_return_code(symlink("../x", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(fixture->set->rules[0].path, "etc/a.rule");
}

static void a_symlink_is_what_it_leads_to(void **state)
{
	struct fixture *fixture = *state;

	write_rule("x", 10);
	write_rule("y", 11);
	assert_return_code(symlink("../x", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:10 ");
	assert_string_equal(reload(fixture), "a:10* ");
	write_rule("x", 12);
	assert_string_equal(reload(fixture), "a:12 ");
	assert_return_code(unlink("etc/a.rule"), errno);
	assert_return_code(symlink("../y", "etc/a.rule"), errno);
	assert_string_equal(reload(fixture), "a:11 ");
	assert_string_equal(reload(fixture), "a:11* ");
}

static void load_bad(struct fixture *fixture, const char *expected)
{
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set;
	char text[128];

	assert_int_equal(files_reload(fixture->set, dirs, &set, &problems), RULE_BAD);
	assert_int_equal(problems.n, 1);
	assert_string_equal(problem_format(&problems.items[0], text, sizeof(text)), expected);
	problems_deinit(&problems);
}

static void what_is_bad_stays_bad(void **state)
{
	static const char *const problem =
		"etc/a.rule:2: '00' is not a port; write 80, 8000-8099 or * for every port";
	struct fixture *fixture = *state;

	write_rule("etc/a.rule", 10);
	write_rule("etc/b.rule", 20);
	assert_string_equal(reload(fixture), "a:10 b:20 ");
	write_rule("etc/a.rule", 0);
	load_bad(fixture, problem);
	load_bad(fixture, problem);
	write_rule("etc/a.rule", 12);
	assert_string_equal(reload(fixture), "a:12 b:20* ");
}

static void what_cannot_be_opened_is_not_taken_from_memory(void **state)
{
	struct fixture *fixture = *state;

	load_settled(fixture);
	assert_return_code(unlink("etc/a.rule"), errno);
	assert_return_code(symlink("missing", "etc/a.rule"), errno);
	load_bad(fixture, "etc/a.rule: cannot open the file: No such file or directory (ENOENT)");
	assert_return_code(unlink("etc/a.rule"), errno);
	assert_return_code(mkdir("etc/a.rule", 0755), errno);
	load_bad(fixture, "etc/a.rule: it is not a regular file");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unchanged_files_are_not_read_again),
		TEST(a_rule_outlives_the_set_it_was_read_for),
		TEST(without_a_set_before_everything_is_read),
		TEST(content_of_the_same_size_is_seen),
		TEST(a_modification_time_that_is_put_back_deceives_nobody),
		TEST(a_file_renamed_over_it_is_seen),
		TEST(another_size_is_seen),
		TEST(what_was_just_written_is_read_again),
		TEST(a_change_after_every_load_is_seen),
		TEST(a_time_to_come_is_not_trusted),
		TEST(a_clock_set_back_after_the_load_takes_nothing_away),
		TEST(time_must_have_passed),
		TEST(all_that_tells_a_file_is_compared),
		TEST(masks_come_and_go),
		TEST(a_file_that_moves_is_read_again),
		TEST(the_path_is_compared),
		TEST(a_symlink_is_what_it_leads_to),
		TEST(what_is_bad_stays_bad),
		TEST(what_cannot_be_opened_is_not_taken_from_memory),
	};

	return cmocka_run_group_tests_name("unchanged", tests, NULL, NULL);
}
