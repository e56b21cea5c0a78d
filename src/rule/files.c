/* SPDX-License-Identifier: BSD-3-Clause */
/* From directories and files to a rule set: which files are effective, and which of them are read. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../util/array.h"
#include "../util/name.h"
#include "file.h"
#include "parse.h"

#define SUFFIX ".rule"

/* A file name in one of the directories. */
struct listed_file {
	char *name;
	size_t dir;
};

struct listing {
	struct listed_file *items;
	size_t n;
};

static void listing_deinit(struct listing *listing)
{
	for (size_t i = 0; i < listing->n; i++)
		free(listing->items[i].name);
	free(listing->items);
}

static bool ends_with_suffix(const char *name)
{
	size_t length = strlen(name);

	return length >= strlen(SUFFIX) && !strcmp(name + length - strlen(SUFFIX), SUFFIX);
}

/* The rule that was read from this path earlier, if the file has not changed since; or NULL. */
static const struct rule *find_unchanged(const struct rule_set *before, const char *name, const char *path)
{
	const struct rule *rule = before ? rule_set_find(before, name) : NULL;

	return rule && rule->origin && !strcmp(rule->path, path) && file_is_unchanged(path, rule->origin)
		       ? rule
		       : NULL;
}

static int parse_file(const char *name, const char *path, const struct file *file, struct rule *ret,
	struct problems *problems)
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
	if (r || !file_is_settled(file))
		return r;
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
static int load_rule_file(
	const struct rule_set *before, const char *path, struct rule *ret, struct problems *problems)
{
	const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
	_cleanup_free_ char *name = strndup(file_name, strlen(file_name) - strlen(SUFFIX));
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
	return r ? r : parse_file(name, path, &file, ret, problems);
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

/* Hidden files are ignored: editors keep locks and copies in them. */
static int collect_files(const char *path, size_t dir, struct listing *listing, struct problems *problems)
{
	DIR *stream = opendir(path);
	int r = 0;

	if (!stream && errno == ENOENT)
		return 0;
	if (!stream)
		return file_complain_errno(problems, path, "cannot read the directory", errno);
	while (!r) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(stream);
		if (!entry) {
			if (errno)
				r = file_complain_errno(problems, path, "cannot read the directory", errno);
			break;
		}
		if (entry->d_name[0] == '.' || !ends_with_suffix(entry->d_name))
			continue;
		r = ARRAY_RESERVE(listing->items, listing->n);
		if (r < 0)
			break;
		listing->items[listing->n] = (struct listed_file){.name = strdup(entry->d_name), .dir = dir};
		if (!listing->items[listing->n].name)
			r = -ENOMEM;
		else
			listing->n++;
	}
	(void)closedir(stream);
	return r;
}

static int compare_listed(const void *a, const void *b)
{
	const struct listed_file *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
}

static int compare_loaded(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->path, y->path);
}

struct visitor {
	/* called for the strongest file of each name; Return: 0, RULE_BAD, FILE_GONE or FILE_MASKED, or -ENOMEM */
	int (*function)(const char *path, void *userdata, struct problems *problems);
	/* called for each weaker one, @by is the strongest one; may be NULL */
	void (*hidden)(const char *path, const char *by, bool masked, void *userdata);
	void *userdata;
};

/* Visits the files of each name; one that has gone meanwhile is ignored. */
static int visit_listed(const char *const *dirs, const struct listing *listing, const struct visitor *visitor,
	struct problems *problems)
{
	_cleanup_free_ char *by = NULL; /* is the strongest one of this name */
	const char *name = NULL;
	bool masked = false, bad = false;

	for (size_t i = 0; i < listing->n; i++) {
		const struct listed_file *file = &listing->items[i];
		bool is_hidden = name && !strcmp(name, file->name);
		_cleanup_free_ char *path = NULL;
		int r;

		if (is_hidden && !visitor->hidden)
			continue;
		if (asprintf(&path, "%s/%s", dirs[file->dir], file->name) < 0) {
			path = NULL; /* asprintf(3) leaves it undefined */
			return -ENOMEM;
		}
		if (is_hidden) {
			visitor->hidden(path, by, masked, visitor->userdata);
			continue;
		}
		r = visitor->function(path, visitor->userdata, problems);
		if (r < 0)
			return r;
		if (r == RULE_BAD)
			bad = true;
		if (r == FILE_GONE)
			continue;
		name = file->name;
		masked = r == FILE_MASKED;
		free(by);
		by = TAKE_PTR(path);
	}
	return bad ? RULE_BAD : 0;
}

/* A directory that cannot be read is a problem, but the others are read. */
static int visit_files(const char *const *dirs, const struct visitor *visitor, struct problems *problems)
{
	_cleanup_(listing_deinit) struct listing listing = {0};
	bool bad = false;
	int r;

	for (size_t i = 0; dirs[i]; i++) {
		r = collect_files(dirs[i], i, &listing, problems);
		if (r < 0)
			return r;
		bad = bad || r == RULE_BAD;
	}
	if (listing.n)
		qsort(listing.items, listing.n, sizeof(*listing.items), compare_listed);
	r = visit_listed(dirs, &listing, visitor, problems);
	return r ? r : bad ? RULE_BAD : 0;
}

struct load_visit {
	const struct rule_set *before;
	struct rule_set *set;
};

static int visit_load(const char *path, void *userdata, struct problems *problems)
{
	const struct load_visit *visit = userdata;
	struct rule rule;
	int r;

	r = load_rule_file(visit->before, path, &rule, problems);
	return r ? r : add_rule_consume(visit->set, &rule);
}

int files_reload(const struct rule_set *before, const char *const *dirs, struct rule_set **ret,
	struct problems *problems)
{
	_cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	r = visit_files(dirs,
		&(struct visitor){.function = visit_load, .userdata = &(struct load_visit){before, set}},
		problems);
	if (r)
		return r;
	if (set->n_rules) /* "a.rule" comes after "a-b.rule", but "a" before "a-b" */
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_loaded);
	*ret = TAKE_PTR(set);
	return 0;
}

int files_load(const char *const *dirs, struct rule_set **ret, struct problems *problems)
{
	return files_reload(NULL, dirs, ret, problems);
}

struct text_visit {
	void (*function)(const char *path, const char *text, size_t size, void *userdata);
	void *userdata;
};

static int visit_text(const char *path, void *userdata, struct problems *problems)
{
	const struct text_visit *visit = userdata;
	_cleanup_(file_close) struct file file = FILE_NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

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

static int visit_path(const char *path, void *userdata, struct problems *problems)
{
	const struct path_visit *visit = userdata;
	int r = file_look(path, problems);

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

	if (!ends_with_suffix(path))
		return file_complain(problems, path, "the name of a rule file is NAME.rule");
	r = load_rule_file(NULL, path, ret, problems);
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
