/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The compiled image against the reference, for random rules and packets
 *
 * USHER_SEED repeats a run, USHER_ROUNDS sets the number of rule sets.
 */

#undef NDEBUG
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "image/image.h"
#include "reference.h"

#define PACKETS 150

struct totals {
	unsigned sets, conflicts, packets, matched, classes;
};

static void fail_with(struct reference *reference, uint64_t seed, const char *what)
{
	printf("# %s; repeat with USHER_SEED=%llu USHER_ROUNDS=1\n", what, (unsigned long long)seed);
	reference_print(reference, stdout);
	fail();
}

static void check_packet(
	struct reference *reference, uint64_t seed, const struct image *image, struct totals *totals)
{
	const struct reference_rule *wanted;
	struct reference_packet packet;
	const struct image_seat *seat;
	bool right;
	uint32_t word;

	reference_packet(reference, &packet);
	wanted = reference_answer(reference, &packet);
	word = image_lookup(image, packet.family, packet.protocol, packet.address, packet.port);
	assert_true(word < image->n_seats);
	seat = &image->seats[word];
	if (!wanted)
		right = !word;
	else
		right = seat->name && !strcmp(seat->name, wanted->name) && seat->family == packet.family &&
			seat->protocol == packet.protocol && seat->pass == wanted->pass;
	if (!right) {
		reference_packet_print(&packet, stdout);
		printf("# image: %s, reference: %s\n", seat->name ? seat->name : "none",
			wanted ? wanted->name : "none");
		fail_with(reference, seed, "another answer");
	}
	totals->packets++;
	totals->matched += !!wanted;
}

static bool same_class(const struct image *image, const struct image_class *a, const struct image_class *b)
{
	if (a->digest.low == b->digest.low && a->digest.high == b->digest.high && a->table == b->table)
		return true;
	if (a->n != b->n || !image->prefixes)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct tree_prefix *x = &image->prefixes[a->first + i],
					 *y = &image->prefixes[b->first + i];

		if (x->word != y->word || memcmp(&x->prefix, &y->prefix, sizeof(x->prefix)) != 0)
			return false;
	}
	return true;
}

/* What image.h promises in addition: classes differ, have a prefix longer than 0, and belong to one table. */
static void check_classes(struct reference *reference, uint64_t seed, const struct image *image)
{
	unsigned *tables = calloc(image->n_classes + 1, sizeof(*tables));

	assert_non_null(tables);
	for (unsigned t = 0; t < USHER_TABLES; t++)
		for (unsigned port = 0; port < USHER_PORTS; port++) {
			const struct image_class *class = image_find_class(image, image->ports[t][port]);

			if (class && class->word != image->ports[t][port])
				fail_with(reference, seed, "a port leads to no class");
			if (class)
				tables[class - image->classes] |= 1U << t;
		}
	for (size_t a = 0; a < image->n_classes; a++) {
		const struct image_class *class = &image->classes[a];
		bool single = tables[a] && !(tables[a] & (tables[a] - 1));

		if (!single || !class->n ||
			(image->prefixes && !image->prefixes[class->first + class->n - 1].prefix.length))
			fail_with(reference, seed, "a class without need, or of several tables");
		for (size_t b = 0; b < a && image->n_classes < 40; b++)
			if (same_class(image, class, &image->classes[b]))
				fail_with(reference, seed, "two classes are the same");
	}
	free(tables);
}

static void check_conflict(struct reference *reference, uint64_t seed, const struct rule_set *set,
	const struct problems *problems)
{
	if (!problems->n)
		fail_with(reference, seed, "a conflict without a problem");
	for (size_t i = 0; i < problems->n; i++) {
		const struct rule *rule =
			rule_set_find(set, problems->items[i].file); /* path and name are the same here */

		assert_non_null(rule);
		assert_true(problems->items[i].line > 0);
		assert_non_null(strstr(problems->items[i].text, " conflicts with "));
	}
}

static void check_image(
	struct reference *reference, uint64_t seed, const struct image *image, struct totals *totals)
{
	totals->classes += (unsigned)image->n_classes;
	check_classes(reference, seed, image);
	for (unsigned i = 0; i < PACKETS; i++)
		check_packet(reference, seed, image, totals);
}

struct compiled {
	struct rule_set *set;
	struct image *image;
};

static void compiled_free(struct compiled *compiled)
{
	image_free(compiled->image);
	rule_set_free(compiled->set);
	*compiled = (struct compiled){0};
}

/* Compile without a previous image, or with @before; Return: false for a conflict */
static bool check_compile(struct reference *reference, uint64_t seed, const struct compiled *before,
	struct compiled *ret, struct totals *totals)
{
	struct compiled compiled = {.set = reference_load(reference)};
	struct problems problems = PROBLEMS_NULL;
	bool conflict = reference_has_conflict(reference);
	int r;

	if (before->image)
		r = image_recompile(before->set, before->image, compiled.set, &compiled.image, &problems);
	else
		r = image_compile(compiled.set, &compiled.image, &problems);
	if (r != (conflict ? IMAGE_CONFLICT : 0))
		fail_with(reference, seed, conflict ? "a conflict was not seen" : "a conflict that is none");
	totals->sets++;
	if (conflict) {
		check_conflict(reference, seed, compiled.set, &problems);
		totals->conflicts++;
		compiled_free(&compiled);
	} else {
		assert_int_equal(problems.n, 0);
		if (before->image)
			image_forget_prefixes(compiled.image);
		check_image(reference, seed, compiled.image, totals);
		*ret = compiled;
	}
	problems_deinit(&problems);
	return !conflict;
}

static void check_set(struct reference *reference, uint64_t seed, struct totals *totals)
{
	struct compiled compiled = {0};

	if (check_compile(reference, seed, &compiled, &compiled, totals))
		compiled_free(&compiled);
}

/* A few matches come, go and change repeatedly, after any rules. */
static void check_changes(struct reference *reference, uint64_t seed, struct totals *totals)
{
	static struct compiled before;
	static struct reference changed;
	uint64_t random = seed * 6364136223846793005ULL;
	struct compiled after = {0};

	changed = *reference;
	for (unsigned i = 0; i < 6; i++) {
		if (check_compile(&changed, seed, &before, &after, totals)) {
			compiled_free(&before);
			before = after;
		}
		changed = *reference;
		for (unsigned k = 0; k <= i % 3; k++) {
			struct reference_match *match;

			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			match = &changed.matches[(random >> 33) % changed.n_matches];
			if (random >> 62 == 0)
				match->protocol = IPPROTO_TCP;
			else if (match->first > 1)
				match->first--;
			else if (match->last < 65535)
				match->last++;
		}
	}
	if (seed % 64 == 0)
		compiled_free(&before);
}

static void image_answers_as_the_reference(void **state)
{
	const char *text = getenv("USHER_ROUNDS");
	unsigned rounds = text ? (unsigned)atoi(text) : 3000;
	uint64_t seed = reference_seed();
	struct totals totals = {0};

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		static struct reference reference;

		reference_generate(&reference, seed + i);
		check_set(&reference, seed + i, &totals);
		if (reference_has_conflict(&reference)) {
			reference_remove_conflicts(&reference);
			check_set(&reference, seed + i, &totals);
		}
		if (i % 10 == 0)
			check_changes(&reference, seed + i, &totals);
	}
	printf("# %u rule sets, %u with conflicts; %u classes; %u packets, %u matched\n", totals.sets,
		totals.conflicts, totals.classes, totals.packets, totals.matched);
	if (rounds >= 100) { /* the generator still reaches its cases */
		assert_in_range(totals.conflicts, totals.sets / 10, totals.sets / 2);
		assert_in_range(totals.matched, totals.packets / 4, totals.packets - totals.packets / 10);
		assert_true(totals.classes > totals.sets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_answers_as_the_reference),
	};

	return cmocka_run_group_tests_name("property", tests, NULL, NULL);
}
