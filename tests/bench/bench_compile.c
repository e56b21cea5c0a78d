/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where the time of a reload goes: the steps of broker_reload(), each by itself
 *
 *	bench_compile ROUNDS BEFORE AFTER
 *
 * BEFORE and AFTER are folders of rule files. Each round reloads from one to the other, in alternating directions.
 * The first reload of each, which has nothing to compare with, is not counted. Files that both have as hard links are
 * not read again, as if they were in one folder. Prints a line for each step: its name, and the milliseconds of every
 * round. Run it as root; it uses namespaces of its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/world.h"
#include "datapath/link.h"
#include "rule/changes.h"
#include "rule/files.h"

enum step { PARSE, ACCESS, COMPILE, COMPARE, LOAD, SWITCH, RELEASE, STEPS };

static const char *const names[STEPS] = {
	[PARSE] = "parse",     /* rule files to a rule set */
	[ACCESS] = "access",   /* users and groups */
	[COMPILE] = "compile", /* rule set to image */
	[COMPARE] = "compare", /* find what has changed, for the answer */
	[LOAD] = "load",       /* verify the program, fill its maps from the image */
	[SWITCH] = "switch",   /* pin it and put it on the link */
	[RELEASE] = "release", /* free the previous generation with its maps */
};

struct bench {
	struct world world;
	struct generation *current;
	int netns, link;
	unsigned n_reloads;
};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void check(const char *what, int r, const struct problems *problems, const struct refusal *refusal)
{
	char text[1024];

	if (!r)
		return;
	if (r > 0 && problems->n)
		fprintf(stderr, "%s: %s\n", what, problem_format(&problems->items[0], text, sizeof(text)));
	else
		fprintf(stderr, "%s: %s\n", what, r > 0 ? refusal->text : strerror(-r));
	exit(1);
}

static double lap(double *since)
{
	double before = *since;

	*since = now();
	return *since - before;
}

/* The steps of broker_reload() and what it calls, in the same order */
static void reload(struct bench *bench, const char *folder, double times[static STEPS])
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	const char *const here[] = {".", NULL};
	const struct rule_set *before = bench->current ? bench->current->rules : NULL;
	struct generation *next = calloc(1, sizeof(*next));
	struct rule_changes changes;
	struct refusal refusal;
	char pin[32];
	double t;

	if (!next)
		check("generation", -ENOMEM, NULL, NULL);
	*next = (struct generation){.n_references = 1, .program = -1, .question = QUESTION_NULL};
	/* so that both have the same paths */
	check(folder, chdir(folder) < 0 ? -errno : 0, NULL, NULL);
	t = now();
	check("rules", files_reload(before, here, &next->rules, &problems), &problems, &refusal);
	times[PARSE] = lap(&t);
	check("access", access_table_new(next->rules, NULL, &next->access), &problems, &refusal);
	times[ACCESS] = lap(&t);
	check("image",
		bench->current ? image_recompile(bench->current->rules, bench->current->image, next->rules,
					 &next->image, &problems)
			       : image_compile(next->rules, &next->image, &problems),
		&problems, &refusal);
	image_forget_prefixes(next->image);
	times[COMPILE] = lap(&t);
	for (size_t i = 0; i < next->rules->n_rules; i++)
		next->n_matches += next->rules->rules[i].n_matches;
	check("compare", changes_count(before, next->rules, &changes), &problems, &refusal);
	times[COMPARE] = lap(&t);
	check("load", generation_load(next, &bench->world.registry, NULL, &refusal), &problems, &refusal);
	times[LOAD] = lap(&t);
	next->number = ++bench->n_reloads;
	check("pin", pins_put(&bench->world.pins, pins_folder_program(next->number, pin), next->program),
		&problems, &refusal);
	check("link",
		link_switch(&bench->world.pins, &bench->link, bench->netns,
			bench->current ? bench->current->program : -1, next->program, &refusal),
		&problems, &refusal);
	times[SWITCH] = lap(&t);
	if (bench->current)
		(void)pins_drop(&bench->world.pins, pins_folder_program(bench->current->number, pin));
	generation_unref(bench->current);
	times[RELEASE] = lap(&t);
	bench->current = next;
}

int main(int argc, char **argv)
{
	struct bench bench = {.link = -1};
	unsigned rounds = argc == 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	_cleanup_free_ double(*times)[STEPS] = calloc(rounds + 1, sizeof(*times));
	_cleanup_free_ char *before = NULL, *after = NULL;

	if (!rounds || !times) {
		fprintf(stderr, "usage: bench_compile ROUNDS BEFORE AFTER\n");
		return 2;
	}
	before = realpath(argv[2], NULL);
	after = realpath(argv[3], NULL);
	if (!before || !after)
		check("folders", -errno, NULL, NULL);
	world_enter(&bench.world);
	bench.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i <= rounds; i++)
		reload(&bench, i % 2 ? after : before, times[i]);
	for (enum step step = 0; step < STEPS; step++) {
		printf("%s", names[step]);
		for (unsigned i = 1; i <= rounds; i++)
			printf(" %.3f", times[i][step]);
		putchar('\n');
	}
	closep(&bench.link);
	closep(&bench.netns);
	generation_unref(bench.current);
	world_leave(&bench.world);
	return 0;
}
