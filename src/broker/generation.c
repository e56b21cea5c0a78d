/* SPDX-License-Identifier: BSD-3-Clause */
#include "generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../datapath/program.h"
#include "../rule/files.h"

struct generation *generation_ref(struct generation *generation)
{
	generation->n_references++;
	return generation;
}

struct generation *generation_unref(struct generation *generation)
{
	if (!generation || --generation->n_references)
		return NULL;
	image_free(generation->image);
	access_table_free(generation->access);
	rule_set_free(generation->rules);
	free(generation->seats);
	free(generation->taken);
	closep(&generation->program);
	question_deinit(&generation->question);
	free(generation);
	return NULL;
}

static struct generation *generation_new(void)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (generation)
		*generation =
			(struct generation){.n_references = 1, .program = -1, .question = QUESTION_NULL};
	return generation;
}

/* What follows from its rules and their image */
static int complete(struct generation *generation, struct accounts *accounts)
{
	int r = access_table_new(generation->rules, accounts, &generation->access);

	if (r < 0)
		return r;
	for (size_t i = 0; i < generation->rules->n_rules; i++)
		generation->n_matches += generation->rules->rules[i].n_matches;
	for (size_t i = 0; i < generation->image->n_classes; i++)
		if (generation->image->classes[i].table >= USHER_TABLE_TCP6)
			generation->n_prefixes6 += generation->image->classes[i].n;
		else
			generation->n_prefixes4 += generation->image->classes[i].n;
	image_forget_prefixes(generation->image);
	return 0;
}

int generation_parse(const struct generation *before, const char *const *directories,
	struct accounts *accounts, struct generation **ret, struct problems *problems)
{
	_cleanup_(generation_unrefp) struct generation *generation = generation_new();
	int r;

	if (!generation)
		return -ENOMEM;
	r = files_reload_text(before ? before->rules : NULL, directories, &generation->rules, problems);
	if (r)
		return r < 0 ? r : GENERATION_BAD;
	if (before)
		r = image_recompile(
			before->rules, before->image, generation->rules, &generation->image, problems);
	else
		r = image_compile(generation->rules, &generation->image, problems);
	if (r)
		return r < 0 ? r : GENERATION_BAD;
	r = complete(generation, accounts);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(generation);
	return 0;
}

/*
 * Sets aside the files that have problems with each other, both of each conflict: neither is more right than the other.
 * Return: how many, or -ENOMEM.
 */
static int set_aside(struct rule_set *rules, const char *spare, const struct problems *problems)
{
	int n = 0, r = 0;
	char text[1024];

	for (size_t i = 0; i < problems->n && r >= 0; i++) {
		const struct problem *problem = &problems->items[i];

		(void)problem_format(problem, text, sizeof(text));
		r = files_set_aside(rules, problem->file, spare, text);
		n += r > 0;
		if (r >= 0 && problem->other)
			r = files_set_aside(rules, problem->other, spare, text);
		n += r > 0;
	}
	return r < 0 ? r : n;
}

static int take_over(struct problems *problems, struct problems *others)
{
	for (size_t i = 0; i < others->n; i++) {
		const struct problem *other = &others->items[i];
		int r = problems_add(problems, other->file, other->line, "%s", other->text);

		if (r < 0)
			return r;
	}
	return 0;
}

int generation_parse_good(const char *const *directories, const char *spare, struct accounts *accounts,
	struct generation **ret, struct problems *problems)
{
	_cleanup_(generation_unrefp) struct generation *generation = generation_new();
	int r;

	if (!generation)
		return -ENOMEM;
	r = files_load_good(directories, spare, &generation->rules, problems);
	while (!r) {
		_cleanup_(problems_deinit) struct problems found = PROBLEMS_NULL;

		r = image_compile(generation->rules, &generation->image, &found);
		if (r <= 0)
			break;
		r = set_aside(generation->rules, spare, &found);
		if (r >= 0 && take_over(problems, &found) < 0)
			r = -ENOMEM;
		if (r == 0)
			return GENERATION_BAD; /* it cannot be said which */
		r = r < 0 ? r : 0;
	}
	if (!r)
		r = complete(generation, accounts);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(generation);
	return 0;
}

/* ---- seats */

/* Gives every seat of the image its lasting number, in `numbers` by local number and in generation->seats by rule. */
static int number_seats(
	struct generation *generation, struct registry *registry, uint32_t *numbers, struct refusal *refusal)
{
	const struct image *image = generation->image;
	_cleanup_free_ uint32_t *index = NULL;
	size_t n_index;
	int r;

	/* sorted once, so that thousands of rules are not looked up one by one */
	r = registry_sort_seats(registry, NULL, &index, &n_index);
	if (r < 0)
		return r;
	for (size_t i = 1; i < image->n_seats; i++) {
		const struct image_seat *seat = &image->seats[i];
		const struct rule *rule = rule_set_find(generation->rules, seat->name);

		numbers[i] = registry_search_seat(
			registry, index, n_index, seat->name, seat->protocol, seat->family);
		if (!numbers[i]) {
			numbers[i] = registry_take_seat(registry, seat->name, seat->protocol, seat->family);
			if (!numbers[i])
				return refuse(refusal, ENOSPC,
					"no seat is left for '%s': all %u are taken by the rules in force, by the new rules, which need %zu, and by names without a rule that still have sockets (ENOSPC); withdraw those sockets, or replace the rules in two reloads",
					seat->name, USHER_SEATS_MAX - 1, image->n_seats - 1);
			generation->taken[generation->n_taken++] = numbers[i];
		}
		generation->seats[(size_t)(rule - generation->rules->rules) * USHER_TABLES +
				  image_table(seat->family, seat->protocol)] = numbers[i];
	}
	return 0;
}

bool generation_has_later(const struct generation *generation)
{
	for (size_t i = 0; i < generation->rules->n_rules; i++)
		if (generation->rules->rules[i].order != RULE_FIRST)
			return true;
	return false;
}

int generation_load(struct generation *generation, struct registry *registry,
	const struct obstacles *obstacles, struct refusal *refusal)
{
	_cleanup_free_ uint32_t *numbers = calloc(generation->image->n_seats, sizeof(*numbers));
	int r;

	generation->seats = calloc(generation->rules->n_rules * USHER_TABLES + 1, sizeof(*generation->seats));
	generation->taken = calloc(generation->image->n_seats, sizeof(*generation->taken));
	if (!numbers || !generation->seats || !generation->taken)
		return -ENOMEM;
	r = number_seats(generation, registry, numbers, refusal);
	if (!r)
		r = program_load(registry, obstacles, generation->image, numbers, &generation->program,
			&generation->question, refusal);
	if (!r)
		r = program_read_id(generation->program, &generation->program_id);
	if (r) {
		generation_unload(generation, registry);
		return r;
	}
	return 0;
}

void generation_unload(struct generation *generation, struct registry *registry)
{
	while (generation->n_taken)
		registry_free_seat(registry, generation->taken[--generation->n_taken]);
}

uint32_t generation_seat(
	const struct generation *generation, const struct rule *rule, int protocol, int family)
{
	return generation->seats[(size_t)(rule - generation->rules->rules) * USHER_TABLES +
				 image_table(family, protocol)];
}
