/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl rules: the matches in force, in the order of precedence */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/grid.h"
#include "view/settings.h"

enum { NAME, PROTO, ADDRESS, PORTS, MISSING, SOURCE, FILE_PATH, LINE, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
	[NAME] = {"NAME"},
	[PROTO] = {"PROTO"},
	[ADDRESS] = {"ADDRESS"},
	[PORTS] = {"PORTS"},
	[MISSING] = {"MISSING"},
	[SOURCE] = {"SOURCE"},
	[FILE_PATH] = {"FILE", JSON_STRING, true},
	[LINE] = {"LINE", JSON_NUMBER, true},
};

/* A match for any address is a prefix of length 0. */
static unsigned long prefix_length(const struct setting *setting)
{
	const char *slash = strchr(setting->prefix, '/');

	return slash ? strtoul(slash + 1, NULL, 10) : 0;
}

static unsigned long ports_width(const struct setting *setting)
{
	const char *dash = strchr(setting->ports, '-');

	if (strcmp(setting->ports, "*") == 0)
		return 65535;
	return dash ? strtoul(dash + 1, NULL, 10) - strtoul(setting->ports, NULL, 10) + 1 : 1;
}

static int compare_ports_number(unsigned long a, unsigned long b)
{
	return (a > b) - (a < b);
}

static int compare_precedence(const void *left, const void *right)
{
	const struct setting *a = *(struct setting *const *)left, *b = *(struct setting *const *)right;
	int r = compare_ports_number(prefix_length(b), prefix_length(a));

	if (!r)
		r = compare_ports_number(ports_width(a), ports_width(b));
	/* matches that differ only in what follows never compete; this keeps the order stable */
	if (!r)
		r = strcmp(a->prefix, b->prefix);
	if (!r)
		r = compare_ports_number(strtoul(a->ports, NULL, 10), strtoul(b->ports, NULL, 10));
	if (!r)
		r = strcmp(a->protocol, b->protocol);
	return r ? r : strcmp(a->name, b->name);
}

static const char *find_missing_setting(const struct settings *settings, const char *name)
{
	for (size_t i = settings_find(settings, name);
		i < settings->n && strcmp(settings->items[i]->name, name) == 0; i++)
		if (strcmp(settings->items[i]->key, "Missing") == 0)
			return settings->items[i]->value;
	return NULL;
}

static int fill(struct grid *grid, const struct settings *settings, struct setting *const *matches, size_t n)
{
	char source[4096], line[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		(void)snprintf(line, sizeof(line), "%lu", matches[i]->line);
		const char *const values[N_COLUMNS] = {
			[NAME] = matches[i]->name,
			[PROTO] = matches[i]->protocol,
			[ADDRESS] = matches[i]->prefix,
			[PORTS] = matches[i]->ports,
			[MISSING] = find_missing_setting(settings, matches[i]->name),
			[SOURCE] = setting_source(matches[i], source, sizeof(source)),
			[FILE_PATH] = matches[i]->file,
			[LINE] = line,
		};

		r = grid_row(grid);
		for (size_t j = 0; r == 0 && j < N_COLUMNS; j++)
			r = grid_set(grid, j, values[j]);
	}
	return r;
}

int verb_rules(const struct ctl *ctl)
{
	_cleanup_(settings_deinit) struct settings settings = SETTINGS_NULL;
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	_cleanup_free_ struct setting **matches = NULL;
	size_t n = 0;
	int r;

	r = ask_each(ctl, REQUEST_RULES, "cannot list the rules", settings_add_row, &settings);
	if (r)
		return r;
	settings_sort(&settings);
	matches = calloc(settings.n + 1, sizeof(*matches));
	if (!matches || grid_init(&grid, ctl, columns, N_COLUMNS) < 0)
		return complain_memory();
	for (size_t i = 0; i < settings.n; i++)
		if (settings.items[i]->protocol && settings.items[i]->prefix && settings.items[i]->ports)
			matches[n++] = settings.items[i];
	qsort(matches, n, sizeof(*matches), compare_precedence);
	if (fill(&grid, &settings, matches, n) < 0 || grid_print(&grid, "rules") < 0)
		return complain_memory();
	if (!ctl->json && !ctl->no_legend)
		(void)printf("%smatches: %zu; the first one that covers a packet wins\n", n ? "\n" : "", n);
	return EXIT_SUCCESS;
}
