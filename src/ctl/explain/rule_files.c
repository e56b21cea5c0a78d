/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../rule/files.h"
#include "../../rule/match.h"
#include "../../util/instance.h"
#include "../../util/macro.h"
#include "../view/rule_check.h"

void rule_files_deinit(struct rule_files *files)
{
	rule_set_free(files->rules);
	free(files->masked);
	free(files->mask);
	*files = RULE_FILES_NULL;
}

static const struct rule_match *find_in_rule(const struct rule *rule, const struct asked *asked)
{
	const struct rule_match *best = NULL;

	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule_match_covers(
			    &rule->matches[i], asked->protocol, asked->family, asked->local, asked->port) &&
			(!best || rule_match_is_stronger(&rule->matches[i], best)))
			best = &rule->matches[i];
	return best;
}

static const struct rule_match *find_strongest(
	const struct rule_set *set, const struct asked *asked, const struct rule **ret_rule)
{
	const struct rule_match *best = NULL;

	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule_match *match = find_in_rule(&set->rules[i], asked);

		if (!match || (best && !rule_match_is_stronger(match, best)))
			continue;
		best = match;
		*ret_rule = &set->rules[i];
	}
	return best;
}

/* ---- has the rule in force changed? */

static void add_change(struct rule_files *files, char sign, const struct setting *setting)
{
	size_t at = strlen(files->changes);

	files->changed = true;
	/* a default follows from other settings */
	if (setting->line && at < sizeof(files->changes))
		(void)snprintf(files->changes + at, sizeof(files->changes) - at, "%s%c%s=%s", at ? " " : "",
			sign, setting->key, setting->value);
}

/* @old, @new: sorted */
static void list_changes(const struct settings *old, const struct settings *new, struct rule_files *files)
{
	for (size_t i = 0, j = 0; i < old->n || j < new->n;) {
		int order = i == old->n	  ? 1
			    : j == new->n ? -1
					  : setting_compare(old->items[i], new->items[j]);

		if (order < 0)
			add_change(files, '-', old->items[i]);
		else if (order > 0)
			add_change(files, '+', new->items[j]);
		i += order <= 0;
		j += order >= 0;
	}
}

static int compare_rule(
	const struct rule *rule, const struct explanation *explanation, struct rule_files *ret)
{
	_cleanup_(settings_deinit) struct settings settings = SETTINGS_NULL, in_force = SETTINGS_NULL;
	struct rule_set set = {.rules = (struct rule *)rule, .n_rules = 1};
	int r = settings_add_set(&settings, &set);

	if (r)
		return r;
	/* sort a copy: the explanation keeps its own order, and the strings */
	in_force.items = calloc(explanation->settings.n + 1, sizeof(*in_force.items));
	if (!in_force.items)
		return -ENOMEM;
	memcpy(in_force.items, explanation->settings.items,
		explanation->settings.n * sizeof(*in_force.items));
	in_force.n = explanation->settings.n;
	settings_sort(&settings);
	settings_sort(&in_force);
	list_changes(&in_force, &settings, ret);
	in_force.n = 0;
	return 0;
}

/* A reload does more than reading: rules may conflict, or name users who do not exist. */
static int check_reload(struct rule_files *files)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(image_freep) struct image *image = NULL;
	int r = rule_check(files->rules, &image, &problems);

	if (r > 0)
		(void)problem_format(&problems.items[0], files->refused, sizeof(files->refused));
	return r < 0 ? r : 0;
}

/* ---- masks */

struct search {
	const struct asked *asked;
	const struct rule_match *best; /* of the files that are read */
	struct rule_files *files;
	int error;
};

/* A file that is masked or replaced: would its rule win? */
static int look_at_hidden(struct search *search, const char *path, const char *by)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(rule_set_freep) struct rule_set *set = NULL;
	const char *const paths[] = {path, NULL};
	const struct rule_match *match;
	const struct rule *rule;
	int r = files_load_named(paths, &set, &problems);

	if (r)
		return r < 0 ? r : 0; /* a file that is gone or has errors would not win */
	match = find_strongest(set, search->asked, &rule);
	if (!match || (search->best && !rule_match_is_stronger(match, search->best)))
		return 0;
	search->files->masked = strdup(path);
	search->files->mask = strdup(by);
	(void)snprintf(search->files->masked_name, sizeof(search->files->masked_name), "%s", rule->name);
	return search->files->masked && search->files->mask ? 0 : -ENOMEM;
}

/* For files_foreach_path() */
static void look_at_file(const char *path, enum rule_file_role role, const char *by, void *userdata)
{
	struct search *search = userdata;

	if (!by || search->files->masked || search->error)
		return;
	search->files->overridden = role == RULE_FILE_REPLACED;
	search->error = look_at_hidden(search, path, by);
}

int rule_files_read(const struct asked *asked, const struct explanation *explanation, struct rule_files *ret)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct search search = {.asked = asked, .files = ret};
	const struct rule *rule = NULL;
	struct instance instance;
	int r;

	r = instance_init(&instance, explanation->instance);
	if (!r)
		r = files_load(instance.rule_dirs, &ret->rules, &problems);
	if (r < 0)
		return r;
	if (r) {
		(void)problem_format(&problems.items[0], ret->problem, sizeof(ret->problem));
		return 0;
	}
	search.best = find_strongest(ret->rules, asked, &rule);
	if (search.best) {
		(void)snprintf(ret->name, sizeof(ret->name), "%s", rule->name);
		ret->file = rule->path;
		ret->line = search.best->line;
	}
	ret->changed = strcmp(ret->name, explanation->name) != 0;
	if (!ret->changed && rule)
		r = compare_rule(rule, explanation, ret);
	if (!r && ret->changed)
		r = check_reload(ret);
	if (!r)
		r = files_foreach_path(instance.rule_dirs, look_at_file, &search, &problems);
	return r < 0 ? r : search.error;
}
