/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A generation: one rule set from its files to the program that is loaded for it
 *
 * It is made in two steps, so that bad rules change nothing in the kernel. generation_parse() only reads files.
 * generation_load() puts the result into the kernel, where it is not current yet.
 */

#include <stdint.h>

#include "../access/access.h"
#include "../datapath/question.h"
#include "../datapath/registry.h"
#include "../image/image.h"

struct generation {
	unsigned n_references;
	uint64_t number;
	uint64_t applied; /* CLOCK_REALTIME, microseconds; 0 until it is current */
	struct rule_set *rules;
	struct access_table *access;
	struct image *image; /* for the next one; without its prefixes */
	uint32_t *seats;     /* generation_seat() */
	uint32_t *taken;     /* seats that did not exist before */
	size_t n_taken, n_matches;
	size_t n_prefixes4, n_prefixes6; /* in the tables of the program */
	int program;			 /* -1 until it is loaded */
	uint32_t program_id;
	struct question question; /* asks what the program would do */
};

/* Outcome of generation_parse() besides 0 */
enum {
	GENERATION_BAD = 1, /* the problems say why */
};

/*
 * generation_parse() - make one from the rule files
 * @before:   NULL, or a generation from which everything that has not changed is reused: rules of files, classes of ports
 * @accounts: for all generations, or NULL (access_table_new())
 */
int generation_parse(const struct generation *before, const char *const *directories,
	struct accounts *accounts, struct generation **ret, struct problems *problems);

/*
 * generation_parse_good() - make one from the rule files that can be used
 * @spare: as for files_load_good()
 *
 * Files that are in conflict with each other are set aside like those that cannot be read. GENERATION_BAD only when a
 * problem is not that of a file.
 */
int generation_parse_good(const char *const *directories, const char *spare, struct accounts *accounts,
	struct generation **ret, struct problems *problems);

/*
 * generation_unref() - accepts NULL, returns NULL; what is loaded stays in the kernel while it is current
 *
 * An answer that lists the rules keeps a reference while it is being sent, so that a reload does not mix into it.
 */
struct generation *generation_ref(struct generation *generation);
struct generation *generation_unref(struct generation *generation);
DEFINE_CLEANUP(struct generation, generation_unref);

/*
 * generation_load() - @obstacles: NULL unless generation_has_later()
 *
 * Return: 0, REFUSED, or a negative errno; then no seat has been taken.
 */
struct obstacles;
int generation_load(struct generation *generation, struct registry *registry,
	const struct obstacles *obstacles, struct refusal *refusal);

/* generation_has_later() - whether a rule has Order=before-wildcard or Order=last */
bool generation_has_later(const struct generation *generation);

/* generation_unload() - give back the seats that were taken for it; it never became current */
void generation_unload(struct generation *generation, struct registry *registry);

/*
 * generation_seat() - where the sockets of a rule sit
 *
 * Return: the number of the seat; 0 when the rule has no match of this protocol and family.
 */
uint32_t generation_seat(
	const struct generation *generation, const struct rule *rule, int protocol, int family);
