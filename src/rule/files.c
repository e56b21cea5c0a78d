/* SPDX-License-Identifier: BSD-3-Clause */
/* From directories and files to a rule set: which files are effective, and which of them are read. */
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/array.h"
#include "../util/name.h"
#include "fault.h"
#include "file.h"
#include "parse.h"
#include "visit.h"

/* The rule that was read from this path earlier, if the file has not changed since; or NULL. */
static const struct rule *find_unchanged(const struct rule_set *before, const char *name, const char *path)
{
	const struct rule *rule = before ? rule_set_find(before, name) : NULL;

	return rule && rule->origin && !strcmp(rule->path, path) && file_is_unchanged(path, rule->origin)
		       ? rule
		       : NULL;
}

static int parse_file(const char *name, const char *path, const struct file *file, bool keep_text,
	struct rule *ret, struct problems *problems)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(file, path, &text, &size, problems);
	if (r)
		return r;
	if (!name_is_valid(name)) {
		r = problems_add(problems, path, 0, "'%s' cannot name a rule: %s", name, NAME_RULE);
		return r < 0 ? r : RULE_BAD;
	}
	r = parse_rule(name, path, text, size, ret, problems);
	if (r)
		return r;
	if (keep_text) {
		ret->text = TAKE_PTR(text);
		ret->text_size = size;
	}
	if (!file_is_settled(file))
		return 0;
	ret->origin = file_origin(file);
	if (!ret->origin)
		rule_deinit(ret);
	return ret->origin ? 0 : -ENOMEM;
}

/*
 * Reads and parses one file, unless it has not changed since @before; its name must end with the suffix.
 *
 * Return: 0, RULE_BAD, FILE_*, or -ENOMEM.
 */
static int load_rule_file(const struct rule_set *before, const char *path, bool keep_text, struct rule *ret,
	struct problems *problems)
{
	const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
	_cleanup_free_ char *name = strndup(file_name, strlen(file_name) - strlen(RULE_SUFFIX));
	_cleanup_(file_close) struct file file = FILE_NULL;
	const struct rule *unchanged;
	int r;

	if (!name)
		return -ENOMEM;
	unchanged = find_unchanged(before, name, path);
	if (unchanged) {
		*ret = rule_share(unchanged);
		return 0;
	}
	r = file_open(path, &file, problems);
	return r ? r : parse_file(name, path, &file, keep_text, ret, problems);
}

static int add_rule_consume(struct rule_set *set, struct rule *rule)
{
	int r = ARRAY_RESERVE(set->rules, set->n_rules);

	if (r < 0)
		rule_deinit(rule);
	else
		set->rules[set->n_rules++] = *rule;
	return r;
}

static int compare_loaded(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->path, y->path);
}

struct load_visit {
	const struct rule_set *before;
	struct rule_set *set;
	bool keep_text;

	/* files_load_good() */
	bool good;
	const char *spare;	 /* or NULL */
	size_t suspect;		 /* the first directory that cannot be read */
	struct problem *problem; /* with that; borrowed */
};

static int load(const char *const *dirs, struct load_visit *visit, const struct visitor *visitor,
	struct rule_set **ret, struct problems *problems)
{
	_cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	visit->set = set;
	r = visit_files(dirs, visitor, problems);
	if (r < 0 || (r && !visit->good))
		return r;
	if (set->n_rules) /* "a.rule" comes after "a-b.rule", but "a" before "a-b" */
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_loaded);
	*ret = TAKE_PTR(set);
	return 0;
}

static int visit_load(const char *path, size_t dir, void *userdata, struct problems *problems)
{
	const struct load_visit *visit = userdata;
	struct rule rule;
	int r;

	(void)dir;
	r = load_rule_file(visit->before, path, visit->keep_text, &rule, problems);
	return r ? r : add_rule_consume(visit->set, &rule);
}

static int reload(const struct rule_set *before, const char *const *dirs, bool keep_text,
	struct rule_set **ret, struct problems *problems)
{
	struct load_visit visit = {.before = before, .keep_text = keep_text};

	return load(
		dirs, &visit, &(struct visitor){.function = visit_load, .userdata = &visit}, ret, problems);
}

int files_reload(const struct rule_set *before, const char *const *dirs, struct rule_set **ret,
	struct problems *problems)
{
	return reload(before, dirs, false, ret, problems);
}

int files_reload_text(const struct rule_set *before, const char *const *dirs, struct rule_set **ret,
	struct problems *problems)
{
	return reload(before, dirs, true, ret, problems);
}

int files_load(const char *const *dirs, struct rule_set **ret, struct problems *problems)
{
	return files_reload(NULL, dirs, ret, problems);
}

/* ---- without the bad ones */

/* The copy of a name's file. Return: 0, RULE_BAD when there is none that can be used, or -ENOMEM. */
static int load_spare(const char *spare, const char *name, struct rule *ret)
{
	_cleanup_(problems_deinit) struct problems ignored = PROBLEMS_NULL;
	_cleanup_free_ char *path = NULL;
	int r;

	if (!spare)
		return RULE_BAD;
	if (asprintf(&path, "%s/%s%s", spare, name, RULE_SUFFIX) < 0) {
		path = NULL; /* asprintf(3) leaves it undefined */
		return -ENOMEM;
	}
	r = load_rule_file(NULL, path, false, ret, &ignored);
	return r < 0 ? r : r ? RULE_BAD : 0;
}

static int use_spare(const struct load_visit *visit, const char *path, const struct problem *problem)
{
	const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
	_cleanup_free_ char *name = strndup(file_name, strlen(file_name) - strlen(RULE_SUFFIX));
	char text[1024];
	struct rule rule;
	int r;

	if (!name)
		return -ENOMEM;
	if (!name_is_valid(name))
		return RULE_BAD;
	r = fault_add(visit->set, name, problem_format(problem, text, sizeof(text)));
	if (!r)
		r = load_spare(visit->spare, name, &rule);
	return r ? r : add_rule_consume(visit->set, &rule);
}

static int visit_good(const char *path, size_t dir, void *userdata, struct problems *problems)
{
	const struct load_visit *visit = userdata;
	size_t n = problems->n;
	int r;

	if (visit->problem && dir > visit->suspect)
		return use_spare(visit, path, visit->problem);
	r = visit_load(path, dir, userdata, problems);
	return r == RULE_BAD && problems->n > n ? use_spare(visit, path, &problems->items[n]) : r;
}

static int visit_unreadable(size_t dir, void *userdata, const struct problem *problem)
{
	struct load_visit *visit = userdata;
	char text[1024];
	int r;

	if (visit->problem)
		return RULE_BAD;
	/* the list of problems grows, and moves */
	visit->problem = malloc(sizeof(*visit->problem));
	if (!visit->problem)
		return -ENOMEM;
	*visit->problem = (struct problem){.file = strdup(problem->file), .text = strdup(problem->text)};
	visit->suspect = dir;
	if (!visit->problem->file || !visit->problem->text)
		return -ENOMEM;
	r = fault_add(visit->set, NULL, problem_format(problem, text, sizeof(text)));
	return r < 0 ? r : RULE_BAD;
}

/* Whether a directory that can be read has a file of that name, which counts, or masks */
static bool is_decided(const char *const *dirs, size_t n, const char *file_name)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;
		struct stat status;

		if (asprintf(&path, "%s/%s", dirs[i], file_name) < 0) {
			path = NULL;
			return true;
		}
		if (lstat(path, &status) == 0)
			return true;
	}
	return false;
}

/* Names of which nothing is known but the copy, because their file may be in a directory that cannot be read */
static int use_all_spares(const char *const *dirs, const struct load_visit *visit)
{
	_cleanup_(problems_deinit) struct problems ignored = PROBLEMS_NULL;
	_cleanup_(visit_listing_deinit) struct listing listing = {0};
	int r = visit_collect(visit->spare, 0, &listing, &ignored);

	for (size_t i = 0; i < listing.n && r >= 0; i++) {
		const char *file_name = listing.items[i].name;
		_cleanup_free_ char *name = strndup(file_name, strlen(file_name) - strlen(RULE_SUFFIX));

		if (!name)
			return -ENOMEM;
		if (!fault_find_own(visit->set, name) && !is_decided(dirs, visit->suspect, file_name))
			r = use_spare(visit, file_name, visit->problem);
	}
	return r < 0 ? r : 0;
}

static void problem_freep(struct problem **problem)
{
	if (!*problem)
		return;
	free((*problem)->file);
	free((*problem)->text);
	free(*problem);
}

int files_load_good(
	const char *const *dirs, const char *spare, struct rule_set **ret, struct problems *problems)
{
	struct load_visit visit = {.good = true, .keep_text = spare, .spare = spare};
	_cleanup_(problem_freep) struct problem *problem = NULL;
	_cleanup_(rule_set_freep) struct rule_set *set = NULL;
	int r;

	r = load(dirs, &visit,
		&(struct visitor){.function = visit_good, .unreadable = visit_unreadable, .userdata = &visit},
		&set, problems);
	problem = visit.problem;
	if (!r && problem && spare) {
		visit.set = set;
		r = use_all_spares(dirs, &visit);
	}
	if (r < 0 || !set)
		return r;
	if (set->n_rules)
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_loaded);
	*ret = TAKE_PTR(set);
	return 0;
}

int files_set_aside(struct rule_set *set, const char *path, const char *spare, const char *text)
{
	size_t length = spare ? strlen(spare) : 0, i = 0;
	struct rule *rule, other;
	bool is_spare;
	int r;

	while (i < set->n_rules && strcmp(set->rules[i].path, path) != 0)
		i++;
	if (i == set->n_rules)
		return 0;
	rule = &set->rules[i];
	is_spare = spare && !strncmp(path, spare, length) && path[length] == '/';
	r = fault_add(set, rule->name, text);
	if (!r)
		r = is_spare ? RULE_BAD : load_spare(spare, rule->name, &other);
	if (r < 0)
		return r;
	rule_deinit(rule);
	if (r)
		memmove(rule, rule + 1, (--set->n_rules - i) * sizeof(*rule));
	else
		*rule = other;
	return 1;
}

struct text_visit {
	void (*function)(const char *path, const char *text, size_t size, void *userdata);
	void *userdata;
};

static int visit_text(const char *path, size_t dir, void *userdata, struct problems *problems)
{
	const struct text_visit *visit = userdata;
	_cleanup_(file_close) struct file file = FILE_NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	(void)dir;
	r = file_open(path, &file, problems);
	if (!r)
		r = file_read(&file, path, &text, &size, problems);
	if (r == 0 || r == FILE_MASKED)
		visit->function(path, text, size, visit->userdata);
	return r;
}

int files_foreach(const char *const *dirs,
	void (*function)(const char *path, const char *text, size_t size, void *userdata), void *userdata,
	struct problems *problems)
{
	struct text_visit visit = {function, userdata};

	return visit_files(dirs, &(struct visitor){.function = visit_text, .userdata = &visit}, problems);
}

struct path_visit {
	void (*function)(const char *path, enum rule_file_role role, const char *by, void *userdata);
	void *userdata;
};

static int visit_path(const char *path, size_t dir, void *userdata, struct problems *problems)
{
	const struct path_visit *visit = userdata;
	int r = file_look(path, problems);

	(void)dir;
	if (r >= 0 && r != FILE_GONE)
		visit->function(
			path, r == FILE_MASKED ? RULE_FILE_MASKS : RULE_FILE_COUNTS, NULL, visit->userdata);
	return r;
}

static void visit_hidden_path(const char *path, const char *by, bool masked, void *userdata)
{
	const struct path_visit *visit = userdata;

	visit->function(path, masked ? RULE_FILE_MASKED : RULE_FILE_REPLACED, by, visit->userdata);
}

int files_foreach_path(const char *const *dirs,
	void (*function)(const char *path, enum rule_file_role role, const char *by, void *userdata),
	void *userdata, struct problems *problems)
{
	struct path_visit visit = {function, userdata};

	return visit_files(dirs,
		&(struct visitor){.function = visit_path, .hidden = visit_hidden_path, .userdata = &visit},
		problems);
}

/* A file named on the command line: it masks nothing, so an empty one is a mistake. */
static int load_named(const char *path, struct rule *ret, struct problems *problems)
{
	int r;

	if (!visit_is_rule_file(path))
		return file_complain(problems, path, "the name of a rule file is NAME.rule");
	r = load_rule_file(NULL, path, false, ret, problems);
	if (r == FILE_GONE)
		return file_complain_errno(problems, path, "cannot open the file", ENOENT);
	if (r == FILE_MASKED)
		return file_complain(
			problems, path, "the file is empty; as a rule file it would mask others of its name");
	return r;
}

int files_load_named(const char *const *paths, struct rule_set **ret, struct problems *problems)
{
	_cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
	bool bad = false;
	int r;

	if (!set)
		return -ENOMEM;
	for (size_t i = 0; paths[i]; i++) {
		struct rule rule;

		r = load_named(paths[i], &rule, problems);
		if (!r)
			r = add_rule_consume(set, &rule);
		if (r < 0)
			return r;
		bad = bad || r == RULE_BAD;
	}
	if (set->n_rules)
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_loaded);
	for (size_t i = 1; i < set->n_rules; i++) {
		const struct rule *before = &set->rules[i - 1], *rule = &set->rules[i];

		if (strcmp(before->name, rule->name) != 0)
			continue;
		r = problems_add(problems, rule->path, 0,
			"%s is the rule '%s' as well; give one of them another name", before->path,
			rule->name);
		if (r < 0)
			return r;
		bad = true;
	}
	if (bad)
		return RULE_BAD;
	*ret = TAKE_PTR(set);
	return 0;
}

int files_load_one(const char *const *dirs, const char *name, struct rule *ret, struct problems *problems)
{
	int r = FILE_GONE;

	for (size_t i = 0; dirs[i] && r == FILE_GONE; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s%s", dirs[i], name, RULE_SUFFIX) < 0) {
			path = NULL; /* asprintf(3) leaves it undefined */
			return -ENOMEM;
		}
		r = load_rule_file(NULL, path, false, ret, problems);
	}
	return r;
}
