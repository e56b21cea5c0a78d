/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl check: read the rule files as the broker would, without the broker. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../rule/files.h"
#include "../../rule/stray.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../complain.h"
#include "../ctl.h"
#include "../out/json.h"
#include "../view/rule_check.h"
#include "hazards.h"
#include "listeners.h"
#include "named_units.h"

/* Outcome of check_paths() besides 0: a path is wrong, and a complaint has been printed */
enum { PATHS_BAD = 1 };

static int check_paths(const struct ctl *ctl, bool *ret_folders)
{
	size_t n_folders = 0;

	for (size_t i = 0; i < ctl->n_names; i++) {
		struct stat st;

		if (stat(ctl->names[i], &st) < 0) {
			int error = errno;

			complain("cannot check '%s': %s (%s)", ctl->names[i], errno_text(error),
				errno_name(error));
			return PATHS_BAD;
		}
		n_folders += S_ISDIR(st.st_mode);
	}
	if (n_folders > 0 && n_folders < ctl->n_names) {
		complain("cannot check '%s': directories and files are mixed (EINVAL); give only one kind",
			ctl->names[0]);
		return PATHS_BAD;
	}
	*ret_folders = n_folders > 0;
	return 0;
}

static void print_problems_json(
	const struct problems *problems, const char *member, const char *key, struct json *json)
{
	char number[32];

	json_open(json, member, '[');
	for (size_t i = 0; i < problems->n; i++) {
		(void)snprintf(number, sizeof(number), "%u", problems->items[i].line);
		json_open(json, NULL, '{');
		json_string(json, "file", problems->items[i].file);
		json_number(json, "line", number);
		json_string(json, key, problems->items[i].text);
		json_close(json, '}');
	}
	json_close(json, ']');
}

/* For files_foreach_path() */
static void count_path(const char *path, enum rule_file_role role, const char *by, void *userdata)
{
	(void)path;
	(void)role;
	(void)by;
	++*(size_t *)userdata;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Nothing was checked, so nothing is "ok": it is the wrong folder, or the file has the wrong name. */
static int complain_nothing(const struct ctl *ctl, const struct problems *stray)
{
	static const char *const below[] = {"rules.d", "usher/rules.d"};
	const char *folder = ctl->names[0];
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, below[i]);
		if (!is_folder(path))
			continue;
		complain("cannot check '%s': it has no file NAME.rule (ENOENT); did you mean %s?", folder,
			path);
		return EXIT_FAILURE;
	}
	rule_check_print_warnings(stray);
	complain("cannot check '%s': it has no file NAME.rule (ENOENT); the broker reads %s", folder,
		ctl->instance.rule_dirs[0]);
	return EXIT_FAILURE;
}

/*
 * Files and folders that are not read.
 *
 * Return: 0, an exit code after a complaint, or -ENOMEM.
 */
static int look_for_stray(const struct ctl *ctl, bool folders, struct problems *stray)
{
	_cleanup_(problems_deinit) struct problems ignored = PROBLEMS_NULL;
	const char *const *dirs = ctl->n_names ? ctl->names : ctl->instance.rule_dirs;
	size_t n = 0;
	int r;

	if (ctl->n_names && !folders)
		return 0;
	r = stray_collect(dirs, stray);
	if (!r)
		r = files_foreach_path(dirs, count_path, &n, &ignored);
	if (r < 0 || n || ignored.n)
		return r < 0 ? r : 0;
	if (ctl->n_names)
		return complain_nothing(ctl, stray);
	return problems_add(stray, dirs[0], 0,
		"there is no rule file NAME.rule here, nor in the other folders of the broker: nothing is dispatched");
}

static void print_result_json(size_t n_rules, size_t n_matches, const struct problems *problems,
	const struct problems *unknown, const struct problems *stray, const struct listeners *listeners,
	const struct hazards *hazards)
{
	struct json json = JSON(stdout);
	char number[32];

	json_open(&json, NULL, '{');
	(void)snprintf(number, sizeof(number), "%zu", n_rules);
	json_number(&json, "rules", number);
	(void)snprintf(number, sizeof(number), "%zu", n_matches);
	json_number(&json, "matches", number);
	print_problems_json(problems, "problems", "problem", &json);
	print_problems_json(unknown, "unknown", "warning", &json);
	print_problems_json(stray, "stray", "warning", &json);
	listeners_print_json(listeners, &json);
	hazards_print_json(hazards, &json);
	json_close(&json, '}');
}

/* Those of files that are not in place are not read by systemd either. */
static int look_at_units(const struct ctl *ctl, const struct rule_set *set, struct problems *warnings)
{
	_cleanup_(socket_rules_deinit) struct socket_rules rules = SOCKET_RULES_NULL;
	int r;

	if (ctl->n_names || ctl->no_listeners)
		return 0;
	r = socket_rules_add_set(&rules, set);
	return r ? r : named_units_warn(&rules, ctl->instance_name, warnings);
}

int verb_check(const struct ctl *ctl)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL, unknown = PROBLEMS_NULL,
						   stray = PROBLEMS_NULL;
	_cleanup_(rule_set_freep) struct rule_set *set = NULL;
	_cleanup_(image_freep) struct image *image = NULL;
	_cleanup_(listeners_deinit) struct listeners listeners = {};
	struct hazards hazards = {};
	size_t n_rules = 0, n_matches = 0;
	bool folders;
	int r;

	if (check_paths(ctl, &folders))
		return EXIT_FAILURE;
	if (ctl->n_names == 0)
		r = files_load(ctl->instance.rule_dirs, &set, &problems);
	else
		r = (folders ? files_load : files_load_named)(ctl->names, &set, &problems);
	if (r == 0) {
		r = look_for_stray(ctl, folders, &stray);
		if (r > 0)
			return r;
	}
	if (r == 0)
		r = rule_check(set, &image, &problems);
	if (r == 0)
		r = rule_check_accounts(set, &unknown);
	if (r == 0)
		r = look_at_units(ctl, set, &unknown);
	if (r == 0 && !ctl->no_listeners)
		r = listeners_look(ctl, set, image, &listeners);
	if (r == 0)
		hazards_find(set, ctl->no_listeners, &hazards);
	if (r < 0) {
		complain("cannot check the rules: %s (%s)", errno_text(-r), errno_name(-r));
		return EXIT_FAILURE;
	}
	if (set) {
		n_rules = set->n_rules;
		for (size_t i = 0; i < set->n_rules; i++)
			n_matches += set->rules[i].n_matches;
	}
	if (ctl->json)
		print_result_json(n_rules, n_matches, &problems, &unknown, &stray, &listeners, &hazards);
	rule_check_print_problems(&problems);
	if (r)
		return EXIT_BAD_DATA;
	rule_check_print_warnings(&stray);
	rule_check_print_warnings(&unknown);
	listeners_print(&listeners, set);
	hazards_print(&hazards);
	if (ctl->json)
		return EXIT_SUCCESS;
	(void)printf("ok: rules: %zu, matches: %zu", n_rules, n_matches);
	if (stray.n + unknown.n + listeners.bypassed.n_all + hazards.n_all)
		(void)printf(
			", warnings: %zu", stray.n + unknown.n + listeners.bypassed.n_all + hazards.n_all);
	(void)printf("\n");
	return EXIT_SUCCESS;
}
