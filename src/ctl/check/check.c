/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl check: read the rule files as the broker would, without the broker. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../rule/files.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../complain.h"
#include "../ctl.h"
#include "../out/json.h"
#include "../view/rule_check.h"
#include "hazards.h"
#include "listeners.h"

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

static void print_unknown(const struct problems *unknown)
{
	for (size_t i = 0; i < unknown->n; i++)
		(void)fprintf(stderr, "%s:%u: warning: %s\n", unknown->items[i].file, unknown->items[i].line,
			unknown->items[i].text);
}

static void print_result_json(size_t n_rules, size_t n_matches, const struct problems *problems,
	const struct problems *unknown, const struct listeners *listeners, const struct hazards *hazards)
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
	listeners_print_json(listeners, &json);
	hazards_print_json(hazards, &json);
	json_close(&json, '}');
}

int verb_check(const struct ctl *ctl)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL, unknown = PROBLEMS_NULL;
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
	if (r == 0)
		r = rule_check(set, &image, &problems);
	if (r == 0)
		r = rule_check_accounts(set, &unknown);
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
		print_result_json(n_rules, n_matches, &problems, &unknown, &listeners, &hazards);
	rule_check_print_problems(&problems);
	if (r)
		return EXIT_BAD_DATA;
	print_unknown(&unknown);
	listeners_print(&listeners, set);
	hazards_print(&hazards);
	if (ctl->json)
		return EXIT_SUCCESS;
	(void)printf("ok: rules: %zu, matches: %zu", n_rules, n_matches);
	if (unknown.n + listeners.bypassed.n_all + hazards.n_all)
		(void)printf(", warnings: %zu", unknown.n + listeners.bypassed.n_all + hazards.n_all);
	(void)printf("\n");
	return EXIT_SUCCESS;
}
