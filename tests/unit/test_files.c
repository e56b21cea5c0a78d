/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which rule files are read, and what happens to those that cannot be read
 *
 * Every test has an empty folder with the directories etc, run and lib, in order of precedence, and leaves no descriptor
 * open. An alarm ends a test that blocks.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"
#include "rule/files.h"
#include "rule/rule.h"
#include "util/name.h"

static const char *const dirs[] = {"etc", "run", "missing", "lib", NULL};

struct folder {
	char path[32];
	size_t n_open;
};

static int setup(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	assert_non_null(folder);
	strcpy(folder->path, "/tmp/usher-files-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	assert_return_code(chdir(folder->path), errno);
	for (size_t i = 0; dirs[i]; i++)
		if (strcmp(dirs[i], "missing") != 0)
			assert_return_code(mkdir(dirs[i], 0755), errno);
	folder->n_open = descriptors_count();
	*state = folder;
	alarm(60);
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
	struct folder *folder = *state;

	alarm(0);
	assert_int_equal(descriptors_count(), folder->n_open);
	assert_return_code(chmod("run", 0755), errno);
	assert_return_code(chdir("/"), errno);
	assert_return_code(nftw(folder->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), errno);
	free(folder);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A rule with one port, by which the test recognises the file */
static void write_rule(const char *path, unsigned port)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "[Rule]\nStream=%u\n", port);
	write_file(path, text);
}

/* Load. The result is a line of words: NAME:PORT for each rule, or the text of each problem. */
static const char *load_text(int r, struct rule_set *set, struct problems *problems)
{
	static char text[8192];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; r == 0 && i < set->n_rules; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s:%u ", set->rules[i].name,
			set->rules[i].matches[0].first);
	for (size_t i = 0; i < problems->n; i++) {
		(void)problem_format(&problems->items[i], text + used, sizeof(text) - used);
		used += strlen(text + used);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "\n");
	}
	assert_int_equal(r, problems->n ? RULE_BAD : 0);
	rule_set_free(set);
	problems_deinit(problems);
	return text;
}

static const char *load(void)
{
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = NULL;
	int r = files_load(dirs, &set, &problems);

	return load_text(r, set, &problems);
}

static const char *load_files(const char *const *paths)
{
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = NULL;
	int r = files_load_named(paths, &set, &problems);

	return load_text(r, set, &problems);
}

static void nothing_is_an_empty_set(void **state)
{
	(void)state;
	assert_string_equal(load(), "");
}

static void the_first_directory_with_a_file_name_wins(void **state)
{
	(void)state;
	write_rule("lib/a.rule", 1);
	write_rule("lib/b.rule", 2);
	write_rule("lib/c.rule", 3);
	write_rule("run/b.rule", 4);
	write_rule("run/c.rule", 5);
	write_rule("etc/c.rule", 6);
	assert_string_equal(load(), "a:1 b:4 c:6 ");
}

static void a_weaker_file_is_not_even_read(void **state)
{
	(void)state;
	write_file("lib/a.rule", "nonsense\n");
	write_rule("etc/a.rule", 1);
	assert_string_equal(load(), "a:1 ");
}

static void rules_are_sorted_by_name(void **state)
{
	(void)state;
	write_rule("etc/a-b.rule", 1); /* as a file name before a.rule */
	write_rule("lib/a.rule", 2);
	write_rule("run/B.rule", 3);
	write_rule("run/a.b.rule", 4);
	assert_string_equal(load(), "B:3 a:2 a-b:1 a.b:4 ");
}

static void rules_are_found_by_name(void **state)
{
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = NULL;

	(void)state;
	assert_int_equal(files_load(dirs, &set, &problems), 0);
	assert_null(rule_set_find(set, "a"));
	set = rule_set_free(set);
	write_rule("etc/a.rule", 1);
	write_rule("etc/a-b.rule", 2);
	write_rule("etc/b.rule", 3);
	assert_int_equal(files_load(dirs, &set, &problems), 0);
	assert_string_equal(rule_set_find(set, "a-b")->path, "etc/a-b.rule");
	assert_ptr_equal(rule_set_find(set, "b"), &set->rules[2]);
	assert_null(rule_set_find(set, "a.rule"));
	assert_null(rule_set_find(set, ""));
	rule_set_free(set);
}

static void dev_null_and_empty_files_mask(void **state)
{
	(void)state;
	write_rule("lib/a.rule", 1);
	write_rule("lib/b.rule", 2);
	write_rule("lib/c.rule", 3);
	write_rule("lib/d.rule", 4);
	assert_return_code(symlink("/dev/null", "etc/a.rule"), errno);
	write_file("run/b.rule", "");
	write_file("etc/real", "");
	assert_return_code(symlink("real", "etc/c.rule"), errno);
	assert_string_equal(load(), "d:4 ");
}

static void a_mask_in_a_weaker_directory_masks_nothing(void **state)
{
	(void)state;
	write_rule("etc/a.rule", 1);
	assert_return_code(symlink("/dev/null", "lib/a.rule"), errno);
	assert_string_equal(load(), "a:1 ");
}

/* For files_foreach_path() */
static void add_path(const char *path, enum rule_file_role role, const char *by, void *userdata)
{
	static const char *const roles[] = {[RULE_FILE_COUNTS] = "counts",
		[RULE_FILE_MASKS] = "masks",
		[RULE_FILE_REPLACED] = "replaced by ",
		[RULE_FILE_MASKED] = "masked by "};
	char *text = userdata;

	(void)sprintf(text + strlen(text), "%s %s%s\n", path, roles[role], by ?: "");
}

static void each_path_has_a_role(void **state)
{
	struct problems problems = PROBLEMS_NULL;
	char text[1024] = "";

	(void)state;
	write_rule("lib/a.rule", 1);
	write_rule("run/a.rule", 1);
	write_rule("etc/a.rule", 1);
	write_rule("lib/b.rule", 1);
	assert_return_code(symlink("/dev/null", "run/b.rule"), errno);
	write_file("etc/c.rule", "");
	write_rule("lib/d.rule", 1);
	write_file("run/d.rule", "nonsense\n");
	assert_int_equal(files_foreach_path(dirs, add_path, text, &problems), 0);
	assert_string_equal(text, "etc/a.rule counts\n"
				  "run/a.rule replaced by etc/a.rule\n"
				  "lib/a.rule replaced by etc/a.rule\n"
				  "run/b.rule masks\n"
				  "lib/b.rule masked by run/b.rule\n"
				  "etc/c.rule masks\n"
				  "run/d.rule counts\n"
				  "lib/d.rule replaced by run/d.rule\n");
	assert_return_code(mkfifo("run/e.rule", 0600), errno);
	assert_int_equal(files_foreach_path(dirs, add_path, text, &problems), RULE_BAD);
	assert_int_equal(problems.n, 1);
	assert_string_equal(problems.items[0].text, "it is not a regular file");
	problems_deinit(&problems);
}

static void a_mask_may_have_any_name(void **state)
{
	(void)state;
	write_rule("lib/bad name.rule", 1);
	assert_string_equal(load(), "lib/bad name.rule: 'bad name' cannot name a rule: " NAME_RULE "\n");
	assert_return_code(symlink("/dev/null", "etc/bad name.rule"), errno);
	assert_string_equal(load(), "");
}

static void other_files_are_ignored(void **state)
{
	(void)state;
	write_file("etc/web", "nonsense");
	write_file("etc/web.rules", "nonsense");
	write_file("etc/web.rule~", "nonsense");
	write_file("etc/web.rule.dpkg-old", "nonsense");
	write_file("etc/web.RULE", "nonsense");
	write_file("etc/README", "nonsense");
	write_file("etc/.web.rule", "nonsense"); /* hidden */
	write_file("etc/.rule", "nonsense");
	assert_return_code(
		symlink("user@host.1234:5678", "etc/.#web.rule"), errno); /* the lock of an editor */
	assert_string_equal(load(), "");
}

static void symlinks_are_followed(void **state)
{
	(void)state;
	write_rule("a", 1);
	assert_return_code(symlink("../a", "etc/web.rule"), errno);
	assert_string_equal(load(), "web:1 ");
	assert_return_code(unlink("a"), errno);
	assert_string_equal(
		load(), "etc/web.rule: cannot open the file: No such file or directory (ENOENT)\n");
	assert_return_code(unlink("etc/web.rule"), errno);
	assert_return_code(symlink("web.rule", "etc/web.rule"), errno);
	assert_string_equal(
		load(), "etc/web.rule: cannot open the file: Too many levels of symbolic links (ELOOP)\n");
}

static void what_is_not_a_file_is_a_problem_and_does_not_block(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "etc/c.rule"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_return_code(mkfifo("etc/a.rule", 0600), errno);
	assert_return_code(mkdir("etc/b.rule", 0700), errno);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(symlink("/dev/zero", "etc/d.rule"), errno);
	write_rule("lib/a.rule", 1); /* is not taken instead */
	assert_string_equal(load(), "etc/a.rule: it is not a regular file\n"
				    "etc/b.rule: it is not a regular file\n"
				    "etc/c.rule: cannot open the file: No such device or address (ENXIO)\n"
				    "etc/d.rule: it is not a regular file\n");
	close(fd);
}

static void invalid_names_are_problems(void **state)
{
	(void)state;
	write_rule("etc/-a.rule", 1);
	write_rule("etc/a\n\x1b.rule", 1);
	assert_string_equal(load(), "etc/-a.rule: '-a' cannot name a rule: " NAME_RULE "\n"
				    "etc/a?\?.rule: 'a?\?' cannot name a rule: " NAME_RULE "\n");
}

static void every_problem_of_every_file_is_told(void **state)
{
	(void)state;
	write_file("etc/a.rule", "[Rule]\nStream=0\nFoo=1\n");
	write_rule("etc/b.rule", 1);
	write_file("lib/c.rule", "[Rule]\n");
	assert_string_equal(load(),
		"etc/a.rule:2: '0': port 0 cannot be matched; ports are 1 to 65535\n"
		"etc/a.rule:3: unknown key 'Foo' in [Rule]; the keys are Stream, Datagram, Missing, Order and Sockets\n"
		"lib/c.rule: the rule matches nothing; write Stream= or Datagram= under [Rule]\n");
}

/* Load as a user who may not read everything; NULL if that is impossible here. */
static const char *load_unprivileged(void)
{
	const char *text;

	if (geteuid() != 0)
		return load();
	assert_return_code(chmod(".", 0755), errno);
	if (seteuid(65534) < 0)
		return NULL; /* the user nobody is not mapped into this user namespace */
	text = load();
	assert_return_code(seteuid(0), errno);
	return text;
}

static void an_unreadable_directory_is_a_problem(void **state)
{
	const char *text;

	(void)state;
	write_rule("etc/a.rule", 1);
	assert_return_code(chmod("run", 0), errno);
	text = load_unprivileged();
	if (!text)
		skip();
	assert_string_equal(text, "run: cannot read the directory: Permission denied (EACCES)\n");
}

static void a_directory_that_is_none_is_a_problem(void **state)
{
	(void)state;
	write_rule("etc/a.rule", 1);
	assert_return_code(rmdir("run"), errno);
	write_file("run", "");
	assert_string_equal(load(), "run: cannot read the directory: Not a directory (ENOTDIR)\n");
}

static void an_unreadable_file_is_a_problem(void **state)
{
	const char *text;

	(void)state;
	write_rule("etc/a.rule", 1);
	assert_return_code(chmod("etc/a.rule", 0), errno);
	text = load_unprivileged();
	if (!text)
		skip();
	assert_string_equal(text, "etc/a.rule: cannot open the file: Permission denied (EACCES)\n");
}

/* A rule, followed by a comment up to a size */
static void write_large(const char *path, size_t size)
{
	FILE *file = fopen(path, "we");
	size_t n = (size_t)fprintf(file, "[Rule]\nStream=80\n");

	while (n < size) {
		static char comment[4096];
		size_t part = size - n < sizeof(comment) ? size - n : sizeof(comment);

		memset(comment, '#', sizeof(comment));
		comment[sizeof(comment) - 1] = '\n';
		assert_int_equal(fwrite(comment, 1, part, file), part);
		n += part;
	}
	assert_int_equal(fclose(file), 0);
}

static void a_file_may_have_64_mib(void **state)
{
	(void)state;
	write_large("etc/web.rule", RULE_FILE_MAX);
	assert_string_equal(load(), "web:80 ");
	write_large("etc/web.rule", RULE_FILE_MAX + 1);
	assert_string_equal(
		load(), "etc/web.rule: the file is larger than 64 MiB; split it into several rules\n");
	assert_return_code(truncate("etc/web.rule", 100 << 20), errno);
	assert_string_equal(
		load(), "etc/web.rule: the file is larger than 64 MiB; split it into several rules\n");
}

/* A line of a given length, with one match and blanks only */
static void write_long_line(const char *path, size_t length)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "[Rule]\nStream=%*s\n", (int)(length - strlen("Stream=")), "443");
	assert_int_equal(fclose(file), 0);
}

static void a_line_may_have_64_kib(void **state)
{
	(void)state;
	write_long_line("etc/web.rule", RULE_LINE_MAX);
	assert_string_equal(load(), "web:443 ");
	write_long_line("etc/web.rule", RULE_LINE_MAX + 1);
	assert_string_equal(load(),
		"etc/web.rule:2: the line is longer than 65536 bytes; repeat the key on another line\n");
}

static void named_files_are_not_masked(void **state)
{
	(void)state;
	write_rule("a.rule", 1);
	write_file("b.rule", "");
	assert_return_code(symlink("/dev/null", "c.rule"), errno);
	assert_string_equal(load_files((const char *const[]){"a.rule", NULL}), "a:1 ");
	assert_string_equal(
		load_files((const char *const[]){"./a.rule", "b.rule", "c.rule", "d.rule", "etc", NULL}),
		"b.rule: the file is empty; as a rule file it would mask others of its name\n"
		"c.rule: the file is empty; as a rule file it would mask others of its name\n"
		"d.rule: cannot open the file: No such file or directory (ENOENT)\n"
		"etc: the name of a rule file is NAME.rule\n");
	assert_string_equal(load_files((const char *const[]){NULL}), "");
}

static void named_files_have_distinct_names(void **state)
{
	(void)state;
	write_rule("etc/b.rule", 1);
	write_rule("lib/b.rule", 2);
	write_rule("lib/a.rule", 3);
	assert_string_equal(load_files((const char *const[]){"lib/b.rule", "lib/a.rule", NULL}), "a:3 b:2 ");
	assert_string_equal(load_files((const char *const[]){"lib/b.rule", "lib/a.rule", "etc/b.rule", NULL}),
		"lib/b.rule: etc/b.rule is the rule 'b' as well; give one of them another name\n");
}

static void a_file_in_the_current_directory_has_no_slash(void **state)
{
	(void)state;
	write_rule(".rule", 1);
	assert_string_equal(load_files((const char *const[]){".rule", NULL}),
		".rule: '' cannot name a rule: " NAME_RULE "\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_an_empty_set),
		TEST(the_first_directory_with_a_file_name_wins),
		TEST(a_weaker_file_is_not_even_read),
		TEST(rules_are_sorted_by_name),
		TEST(rules_are_found_by_name),
		TEST(dev_null_and_empty_files_mask),
		TEST(a_mask_in_a_weaker_directory_masks_nothing),
		TEST(each_path_has_a_role),
		TEST(a_mask_may_have_any_name),
		TEST(other_files_are_ignored),
		TEST(symlinks_are_followed),
		TEST(what_is_not_a_file_is_a_problem_and_does_not_block),
		TEST(invalid_names_are_problems),
		TEST(every_problem_of_every_file_is_told),
		TEST(an_unreadable_directory_is_a_problem),
		TEST(a_directory_that_is_none_is_a_problem),
		TEST(an_unreadable_file_is_a_problem),
		TEST(a_file_may_have_64_mib),
		TEST(a_line_may_have_64_kib),
		TEST(named_files_are_not_masked),
		TEST(named_files_have_distinct_names),
		TEST(a_file_in_the_current_directory_has_no_slash),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
