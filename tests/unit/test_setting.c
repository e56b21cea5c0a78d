/* SPDX-License-Identifier: BSD-3-Clause */

/* Settings by index: the same as one after the other, and none costs more than another. */

#undef NDEBUG
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rule/setting.h"

#define MATCHES 200000U
#define WORDS 100000U

static struct rule rule;

static int set_up(void **state)
{
	static char word[] = "word";

	(void)state;
	rule.n_matches = MATCHES;
	rule.matches = calloc(MATCHES, sizeof(*rule.matches));
	rule.access.users.items = calloc(WORDS, sizeof(*rule.access.users.items));
	assert_true(rule.matches && rule.access.users.items);
	for (unsigned i = 0; i < MATCHES; i++)
		rule.matches[i] = (struct rule_match){.protocol = i % 2 ? IPPROTO_UDP : IPPROTO_TCP,
			.first = 80,
			.last = 80,
			.line = i + 1};
	for (unsigned i = 0; i < WORDS; i++) {
		rule.access.users.items[i].text = word;
		rule.access.users.items[i].line = MATCHES + i + 1;
	}
	rule.access.users.n = WORDS;
	rule.access.units = rule.access.users;
	rule.access.bound_any = true;
	rule.discover.present = true;
	rule.discover.scan_interval_ms = 90000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(rule.matches);
	free(rule.access.users.items);
	return 0;
}

static int count(const struct rule_setting *setting, void *userdata)
{
	size_t *n = userdata;

	assert_non_null(setting->value);
	return ++*n == SIZE_MAX;
}

/* A walk from the start for each would take 160,000,000,000 steps. */
static void each_is_found_at_once(void **state)
{
	const size_t wanted = MATCHES + 2 + 2 * (size_t)WORDS + 1 + 2;
	char text[RULE_MATCH_TEXT_MAX];
	struct rule_setting setting;
	size_t n = 0;

	(void)state;
	for (size_t i = wanted; i-- > 0;)
		assert_true(setting_get(&rule, i, text, &setting));
	assert_false(setting_get(&rule, wanted, text, &setting));
	assert_false(setting_get(&rule, SIZE_MAX, text, &setting));
	assert_int_equal(setting_foreach(&rule, count, &n), 0);
	assert_int_equal(n, wanted);
}

static void assert_setting(
	size_t index, const char *section, const char *key, const char *value, unsigned line)
{
	char text[RULE_MATCH_TEXT_MAX];
	struct rule_setting setting;

	assert_true(setting_get(&rule, index, text, &setting));
	assert_string_equal(setting.section, section);
	assert_string_equal(setting.key, key);
	assert_string_equal(setting.value, value);
	assert_int_equal(setting.line, line);
	assert_true(!!setting.match == (index < MATCHES));
}

static void they_are_in_order(void **state)
{
	(void)state;
	assert_setting(0, "Rule", "Stream", "80", 1);
	assert_setting(MATCHES - 1, "Rule", "Datagram", "80", MATCHES);
	assert_setting(MATCHES, "Rule", "Missing", "refuse", 0);
	assert_setting(MATCHES + 1, "Rule", "Order", "first", 0);
	assert_setting(MATCHES + 2, "Access", "User", "word", MATCHES + 1);
	assert_setting(MATCHES + 1 + WORDS, "Access", "User", "word", MATCHES + WORDS);
	assert_setting(MATCHES + 2 + WORDS, "Access", "Unit", "word", MATCHES + 1);
	assert_setting(MATCHES + 2 + 2 * WORDS, "Access", "Bound", "any", 0);
	assert_setting(MATCHES + 3 + 2 * WORDS, "Discover", "Listen", "event", 0);
	assert_setting(MATCHES + 4 + 2 * WORDS, "Discover", "ScanInterval", "90s", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_found_at_once),
		cmocka_unit_test(they_are_in_order),
	};

	return cmocka_run_group_tests_name("setting", tests, set_up, tear_down);
}
