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

int generation_parse(const struct generation *before, const char *const *directories,
	struct accounts *accounts, struct generation **ret, struct problems *problems)
{
	_cleanup_(generation_unrefp) struct generation *generation = calloc(1, sizeof(*generation));
	int r;

	if (!generation)
		return -ENOMEM;
	generation->n_references = 1;
	generation->program = -1;
	generation->question = QUESTION_NULL;
	r = files_reload(before ? before->rules : NULL, directories, &generation->rules, problems);
	if (r)
		return r < 0 ? r : GENERATION_BAD;
	r = access_table_new(generation->rules, accounts, &generation->access);
	if (r < 0)
		return r;
	if (before)
		r = image_recompile(
			before->rules, before->image, generation->rules, &generation->image, problems);
	else
		r = image_compile(generation->rules, &generation->image, problems);
	if (r)
		return r < 0 ? r : GENERATION_BAD;
	for (size_t i = 0; i < generation->rules->n_rules; i++)
		generation->n_matches += generation->rules->rules[i].n_matches;
	for (size_t i = 0; i < generation->image->n_classes; i++)
		if (generation->image->classes[i].table >= USHER_TABLE_TCP6)
			generation->n_prefixes6 += generation->image->classes[i].n;
		else
			generation->n_prefixes4 += generation->image->classes[i].n;
	image_forget_prefixes(generation->image);
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

int generation_load(struct generation *generation, struct registry *registry, struct refusal *refusal)
{
	_cleanup_free_ uint32_t *numbers = calloc(generation->image->n_seats, sizeof(*numbers));
	int r;

	generation->seats = calloc(generation->rules->n_rules * USHER_TABLES + 1, sizeof(*generation->seats));
	generation->taken = calloc(generation->image->n_seats, sizeof(*generation->taken));
	if (!numbers || !generation->seats || !generation->taken)
		return -ENOMEM;
	r = number_seats(generation, registry, numbers, refusal);
	if (!r)
		r = program_load(registry, generation->image, numbers, &generation->program,
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
