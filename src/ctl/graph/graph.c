/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "../../util/macro.h"
#include "../complain.h"

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of the files, matches first */
static int compare_settings(const void *a, const void *b)
{
	const struct setting *x = *(struct setting *const *)a, *y = *(struct setting *const *)b;
	int r = strcmp(x->name, y->name);

	if (!r)
		r = !x->prefix - !y->prefix;
	return r ? r : (x->line > y->line) - (x->line < y->line);
}

static void find_rule(const struct settings *settings, struct graph_name *name)
{
	size_t first = settings_find(settings, name->name);

	if (first == settings->n || strcmp(settings->items[first]->name, name->name) != 0)
		return;
	name->file = settings->items[first]->file;
	name->matches = &settings->items[first];
	while (first + name->n_matches < settings->n && name->matches[name->n_matches]->prefix &&
		strcmp(name->matches[name->n_matches]->name, name->name) == 0)
		name->n_matches++;
}

static void draw(
	const struct graph_drawing *drawing, const struct seats *seats, const struct settings *settings)
{
	drawing->begin();
	for (size_t i = 0; i < seats->n;) {
		struct graph_name name = {.name = seats->items[i].name, .seats = &seats->items[i]};

		while (i < seats->n && strcmp(seats->items[i].name, name.name) == 0) {
			name.n_seats++;
			i++;
		}
		find_rule(settings, &name);
		drawing->name(&name);
	}
	drawing->end();
}

int graph_list(const struct ctl *ctl)
{
	_cleanup_(settings_deinit) struct settings settings = SETTINGS_NULL;
	_cleanup_(seats_deinit) struct seats seats = SEATS_NULL;
	_cleanup_free_ const char **names = calloc(ctl->n_names + 1, sizeof(*names));
	struct ctl sorted = *ctl, all = *ctl;
	int r;

	if (!names)
		return complain_memory();
	memcpy(names, ctl->names, ctl->n_names * sizeof(*names));
	qsort(names, ctl->n_names, sizeof(*names), compare_words);
	sorted.names = names;
	r = ask_each(&sorted, REQUEST_LIST, "cannot list the sockets", seats_add_row, &seats);
	if (r)
		return r;
	/* ask for all rules: the broker refuses a name without a rule, and a name with sockets may have none */
	all.n_names = 0;
	r = ask_each(&all, REQUEST_RULES, "cannot list the rules", settings_add_row, &settings);
	if (r)
		return r;
	if (settings.n > 0)
		qsort(settings.items, settings.n, sizeof(*settings.items), compare_settings);
	draw(ctl->graph == GRAPH_DOT ? &graph_dot : &graph_tree, &seats, &settings);
	return EXIT_SUCCESS;
}
