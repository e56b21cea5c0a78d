/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl diff: what a reload would change */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rule/files.h"
#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/json.h"
#include "view/rule_check.h"
#include "view/settings.h"

enum { EXIT_DIFFERENT = 1 }; /* as of diff(1) */

static int load_files(const struct ctl *ctl, struct settings *ret)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(rule_set_freep) struct rule_set *set = NULL;
	_cleanup_(image_freep) struct image *image = NULL;
	int r;

	r = files_load(ctl->instance.rule_dirs, &set, &problems);
	if (r == 0)
		r = rule_check(set, &image, &problems);
	if (r == 0)
		r = settings_add_set(ret, set);
	if (r < 0)
		return complain_memory();
	if (r == 0)
		return rule_check_warn_stray(ctl->instance.rule_dirs) < 0 ? complain_memory() : EXIT_SUCCESS;
	rule_check_print_problems(&problems);
	complain(
		"cannot compare the rules: problems in the rule files: %zu (EBADMSG); a reload would change nothing",
		problems.n);
	return EXIT_BAD_DATA;
}

static void print_text(const struct setting *setting, bool added)
{
	bool plain = strcmp(setting->section, "Rule") == 0;
	char source[4096];

	(void)printf("%c %s %s%s%s%s=%s   (%s)\n", added ? '+' : '-', setting->name, plain ? "" : "[",
		plain ? "" : setting->section, plain ? "" : "] ", setting->key, setting->value,
		setting_source(setting, source, sizeof(source)));
}

static void print_setting_json(struct json *json, const struct setting *setting, bool added)
{
	char line[32];

	(void)snprintf(line, sizeof(line), "%lu", setting->line);
	json_open(json, NULL, '{');
	json_string(json, "change", added ? "added" : "removed");
	json_string(json, "name", setting->name);
	json_string(json, "section", setting->section);
	json_string(json, "key", setting->key);
	json_string(json, "value", setting->value);
	json_string(json, "file", setting->file);
	json_number(json, "line", line);
	json_close(json, '}');
}

static bool has_name(const struct settings *settings, const char *name)
{
	size_t i = settings_find(settings, name);

	return i < settings->n && strcmp(settings->items[i]->name, name) == 0;
}

/* Both lists are sorted: walk them together. Return: the number of differences. */
static size_t compare_settings(const struct ctl *ctl, const struct settings *old, const struct settings *new)
{
	struct json json = JSON(stdout);
	size_t n = 0;

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_open(&json, "changes", '[');
	}
	for (size_t i = 0, j = 0; i < old->n || j < new->n;) {
		int order = i == old->n	  ? 1
			    : j == new->n ? -1
					  : setting_compare(old->items[i], new->items[j]);
		const struct setting *setting = order > 0 ? new->items[j] : old->items[i];

		i += order <= 0;
		j += order >= 0;
		if (order == 0)
			continue;
		n++;
		/* when a whole rule appears or disappears, its defaults are not worth a line */
		if (setting->line == 0 && !has_name(order > 0 ? old : new, setting->name))
			continue;
		if (ctl->json)
			print_setting_json(&json, setting, order > 0);
		else
			print_text(setting, order > 0);
	}
	if (ctl->json) {
		json_close(&json, ']');
		json_close(&json, '}');
	}
	return n;
}

int verb_diff(const struct ctl *ctl)
{
	_cleanup_(settings_deinit) struct settings old = SETTINGS_NULL, new = SETTINGS_NULL;
	size_t n;
	int r;

	r = ask_each(ctl, REQUEST_RULES, "cannot compare the rules", settings_add_row, &old);
	if (!r)
		r = load_files(ctl, &new);
	if (r)
		return r;
	settings_sort(&old);
	settings_sort(&new);
	n = compare_settings(ctl, &old, &new);
	if (n > 0)
		return EXIT_DIFFERENT;
	if (!ctl->json && !ctl->no_legend)
		(void)printf("no difference: a reload would change nothing\n");
	return EXIT_SUCCESS;
}
