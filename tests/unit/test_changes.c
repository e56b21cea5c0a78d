/* SPDX-License-Identifier: BSD-3-Clause */

/* The changes that a reload reports, compared with a count over everything */

#undef NDEBUG
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "rule/changes.h"
#include "util/macro.h"

#define RULES 4
#define MATCHES 12

struct sample {
	struct rule_set set;
	struct rule rules[RULES];
	struct rule_match matches[RULES][MATCHES];
};

static char names[RULES][4] = {"a", "b", "b-c", "d"};

static unsigned below(unsigned n)
{
	return (unsigned)random() % n;
}

/* Few different values, so that one is in a list twice, and in both lists at different places. */
static struct rule_match random_match(unsigned line)
{
	struct rule_match match = {.protocol = below(4) ? IPPROTO_TCP : IPPROTO_UDP, .line = line};

	match.prefix.family = below(3) ? AF_INET : AF_INET6;
	match.prefix.length = (uint8_t)(24 + below(2));
	match.prefix.address[2] = (uint8_t)below(3);
	match.first = (uint16_t)(80 + below(2));
	match.last = (uint16_t)(match.first + below(2));
	return match;
}

static void make(struct sample *sample)
{
	*sample = (struct sample){.set = {.rules = sample->rules}};
	for (unsigned i = 0; i < RULES; i++) {
		struct rule *rule = &sample->rules[sample->set.n_rules];
		struct rule_match *matches = sample->matches[i];

		if (!below(5))
			continue;
		*rule = (struct rule){.name = names[i], .matches = matches, .n_matches = 1 + below(MATCHES)};
		for (unsigned k = 0; k < rule->n_matches; k++)
			matches[k] = random_match(k);
		sample->set.n_rules++;
	}
}

/* Another sample that differs from this one in a few matches */
static void change(const struct sample *sample, struct sample *ret)
{
	*ret = *sample;
	ret->set.rules = ret->rules;
	for (unsigned i = 0; i < ret->set.n_rules; i++) {
		struct rule *rule = &ret->rules[i];
		size_t row = (size_t)(sample->rules[i].matches - sample->matches[0]) / MATCHES;

		rule->matches = ret->matches[row];
		if (!below(2))
			rule->matches[below((unsigned)rule->n_matches)] = random_match(99);
		if (!below(4) && rule->n_matches > 1)
			memmove(rule->matches, rule->matches + 1, --rule->n_matches * sizeof(*rule->matches));
	}
}

static bool is_same(const struct rule_match *x, const struct rule_match *y)
{
	return x->protocol == y->protocol && !memcmp(&x->prefix, &y->prefix, sizeof(x->prefix)) &&
	       x->first == y->first && x->last == y->last;
}

static size_t count_kept(const struct rule *old, const struct rule *new)
{
	bool used[MATCHES] = {false};
	size_t kept = 0;

	for (size_t i = 0; i < old->n_matches; i++)
		for (size_t k = 0; k < new->n_matches; k++)
			if (!used[k] && is_same(&old->matches[i], &new->matches[k])) {
				used[k] = true;
				kept++;
				break;
			}
	return kept;
}

static size_t count_matches(const struct rule_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n_rules; i++)
		n += set->rules[i].n_matches;
	return n;
}

static void check(const struct rule_set *old, const struct rule_set *new)
{
	struct rule_changes changes;
	size_t kept = 0;

	for (size_t i = 0; i < old->n_rules; i++) {
		const struct rule *rule = rule_set_find(new, old->rules[i].name);

		kept += rule ? count_kept(&old->rules[i], rule) : 0;
	}
	assert_int_equal(changes_count(old, new, &changes), 0);
	assert_int_equal(changes.kept, kept);
	assert_int_equal(changes.removed, count_matches(old) - kept);
	assert_int_equal(changes.added, count_matches(new) - kept);
}

static void everything_is_new_at_the_start(void **state)
{
	struct rule_changes changes;
	struct sample sample;

	(void)state;
	make(&sample);
	assert_int_equal(changes_count(NULL, &sample.set, &changes), 0);
	assert_int_equal(changes.added, count_matches(&sample.set));
	assert_int_equal(changes.removed, 0);
	assert_int_equal(changes.kept, 0);
}

static void as_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct sample one, other, changed;

		make(&one);
		make(&other);
		change(&one, &changed);
		check(&one.set, &one.set);
		check(&one.set, &other.set);
		check(&one.set, &changed.set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_new_at_the_start),
		cmocka_unit_test(as_counted),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
