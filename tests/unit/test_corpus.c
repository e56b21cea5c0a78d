/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * rules/ok-*.rule and rules/bad-*.rule, each a test case of its own
 *
 * FILE.expected next to it has every setting of a good file ("3 [Rule] Stream=80") or every problem of a bad one
 * ("3: text"), in order. The settings of a good file, written as a file, parse to the same settings. The argument is the
 * folder. With a file after it, the result for that file is printed: that is how to start a new .expected.
 */

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/files.h"
#include "rule/parse.h"
#include "rule/rule.h"
#include "rule/setting.h"

#define CASES_MAX 200

static int print_setting(const struct rule_setting *setting, void *userdata)
{
	fprintf(userdata, "%u [%s] %s=%s\n", setting->line, setting->section, setting->key, setting->value);
	return 0;
}

static int print_assignment(const struct rule_setting *setting, void *userdata)
{
	fprintf(userdata, "[%s]\n%s=%s\n", setting->section, setting->key, setting->value);
	return 0;
}

/* The settings of a rule, as a rule file; to be freed */
static char *respell(const struct rule *rule)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	assert(file);
	assert(setting_foreach(rule, print_assignment, file) == 0);
	assert(!fclose(file));
	return text;
}

/* The output of setting_foreach() is a rule file with the same settings. */
static void check_spelling(const struct rule *rule)
{
	struct problems problems = PROBLEMS_NULL;
	char *text = respell(rule), *again;
	struct rule copy;

	assert(parse_rule(rule->name, rule->path, text, strlen(text), &copy, &problems) == 0);
	again = respell(&copy);
	assert(!strcmp(text, again));
	rule_deinit(&copy);
	free(text);
	free(again);
}

/* The result of parsing a file, in the format of FILE.expected; to be freed */
static char *parse(const char *path, bool *ret_good)
{
	const char *const paths[] = {path, NULL};
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = NULL;
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);
	int r = files_load_named(paths, &set, &problems);

	assert(file);
	assert(r == 0 || r == RULE_BAD);
	assert((r == 0) == (problems.n == 0));
	if (r == 0) {
		assert(set->n_rules == 1);
		assert(setting_foreach(&set->rules[0], print_setting, file) == 0);
		check_spelling(&set->rules[0]);
	}
	for (size_t i = 0; i < problems.n; i++) {
		assert(!strcmp(problems.items[i].file, path));
		fprintf(file, "%u: %s\n", problems.items[i].line, problems.items[i].text);
	}
	assert(!fclose(file));
	rule_set_free(set);
	problems_deinit(&problems);
	*ret_good = r == 0;
	return text;
}

static char *read_text(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t size = 0;
	char *text = NULL;

	if (!file) {
		print_message("# cannot open %s\n", path);
		fail();
	}
	if (getdelim(&text, &size, '\0', file) < 0)
		text[0] = '\0';
	fclose(file);
	return text;
}

static void parses_as_expected(void **state)
{
	const char *path = *state, *name = strrchr(path, '/') + 1;
	char *expected_path, *expected, *text;
	bool good;

	assert_true(asprintf(&expected_path, "%s.expected", path) > 0);
	expected = read_text(expected_path);
	text = parse(path, &good);
	assert_true(good == !strncmp(name, "ok-", 3));
	assert_string_equal(text, expected);
	free(expected_path);
	free(expected);
	free(text);
}

static int is_rule(const struct dirent *entry)
{
	const char *suffix = strrchr(entry->d_name, '.');

	return suffix && !strcmp(suffix, ".rule");
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[CASES_MAX];
	struct dirent **entries;
	int n, r;
	bool good;

	assert(argc >= 2);
	if (argc == 3) {
		char *text = parse(argv[2], &good);

		fputs(text, stdout);
		free(text);
		return 0;
	}
	n = scandir(argv[1], &entries, is_rule, alphasort);
	assert(n > 0 && n <= CASES_MAX);
	for (int i = 0; i < n; i++) {
		char *path;

		assert(asprintf(&path, "%s/%s", argv[1], entries[i]->d_name) > 0);
		tests[i] = (struct CMUnitTest){
			.name = entries[i]->d_name, .test_func = parses_as_expected, .initial_state = path};
	}
	r = _cmocka_run_group_tests("corpus", tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++) {
		free(tests[i].initial_state);
		free(entries[i]);
	}
	free(entries);
	return r;
}
