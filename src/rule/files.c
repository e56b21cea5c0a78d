/* SPDX-License-Identifier: BSD-3-Clause */
/* From directories and files to a rule set: which files count, and how they are read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../util/name.h"
#include "array.h"
#include "rule.h"

#define SUFFIX ".rule"

/* Outcomes of read_file() and load_file() besides 0 and RULE_BAD */
enum {
	FILE_MASKED = 2, /* empty, or /dev/null */
	FILE_GONE,	 /* removed since the directory was read */
};

/* A file name in one of the directories. */
struct candidate {
	char *name;
	size_t dir;
};

struct candidates {
	struct candidate *items;
	size_t n;
};

static void candidates_deinit(struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		free(candidates->items[i].name);
	free(candidates->items);
}

/* RULE_BAD, or -ENOMEM */
static int complain_errno(struct problems *problems, const char *path, const char *what, int error)
{
	int r = problems_add(problems, path, 0, "%s: %s (%s)", what, strerror(error), strerrorname_np(error));

	return r < 0 ? r : RULE_BAD;
}

static int complain(struct problems *problems, const char *path, const char *text)
{
	int r = problems_add(problems, path, 0, "%s", text);

	return r < 0 ? r : RULE_BAD;
}

static bool ends_with_suffix(const char *name)
{
	size_t length = strlen(name);

	return length >= strlen(SUFFIX) && !strcmp(name + length - strlen(SUFFIX), SUFFIX);
}

static int read_all(
	int fd, size_t expected, const char *path, char **ret, size_t *ret_size, struct problems *problems)
{
	size_t capacity = expected + 1, size = 0; /* one more, to see the end */
	_cleanup_free_
	char *text = malloc(capacity);

	for (;;) {
		ssize_t n;

		if (!text)
			return -ENOMEM;
		n = read(fd, text + size, capacity - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return complain_errno(problems, path, "cannot read the file", errno);
		size += (size_t)n;
		if (size > RULE_FILE_MAX)
			return complain(problems, path,
				"the file is larger than 64 MiB; split it into several rules");
		if (!n)
			break;
		if (size == capacity) { /* it has grown since fstat(2) */
			char *larger;

			capacity = 2 * capacity < RULE_FILE_MAX ? 2 * capacity : RULE_FILE_MAX + 1;
			larger = realloc(text, capacity);
			if (!larger)
				return -ENOMEM;
			text = larger;
		}
	}
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

/* O_NONBLOCK: opening a FIFO that nobody writes to would wait forever. */
static int read_file(const char *path, char **ret, size_t *ret_size, struct problems *problems)
{
	_cleanup_close_
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;
	int error = errno;

	if (fd < 0 && error == ENOENT && lstat(path, &status) < 0 && errno == ENOENT)
		return FILE_GONE;
	if (fd < 0)
		return complain_errno(problems, path, "cannot open the file", error);
	if (fstat(fd, &status) < 0)
		return complain_errno(problems, path, "cannot read the file", errno);
	if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
		return FILE_MASKED;
	if (!S_ISREG(status.st_mode))
		return complain(problems, path, "it is not a regular file");
	if (!status.st_size)
		return FILE_MASKED;
	if (status.st_size > (off_t)RULE_FILE_MAX)
		return complain(
			problems, path, "the file is larger than 64 MiB; split it into several rules");
	return read_all(fd, (size_t)status.st_size, path, ret, ret_size, problems);
}

/* Read and parse one file; its name must end with the suffix. Return: 0, RULE_BAD, FILE_*, or -ENOMEM. */
static int load_file(const char *path, struct rule *ret, struct problems *problems)
{
	const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
	_cleanup_free_
	char *name = strndup(file_name, strlen(file_name) - strlen(SUFFIX)), *text = NULL;
	size_t size;
	int r;

	if (!name)
		return -ENOMEM;
	r = read_file(path, &text, &size, problems);
	if (r)
		return r;
	if (!name_is_valid(name)) {
		r = problems_add(problems, path, 0, "'%s' cannot name a rule: %s", name, NAME_RULE);
		return r < 0 ? r : RULE_BAD;
	}
	return rule_parse(name, path, text, size, ret, problems);
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

/* Hidden files are left alone: editors keep their locks and copies in them. */
static int collect(const char *path, size_t dir, struct candidates *candidates, struct problems *problems)
{
	DIR *stream = opendir(path);
	int r = 0;

	if (!stream && errno == ENOENT)
		return 0;
	if (!stream)
		return complain_errno(problems, path, "cannot read the directory", errno);
	while (!r) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(stream);
		if (!entry) {
			if (errno)
				r = complain_errno(problems, path, "cannot read the directory", errno);
			break;
		}
		if (entry->d_name[0] == '.' || !ends_with_suffix(entry->d_name))
			continue;
		r = ARRAY_RESERVE(candidates->items, candidates->n);
		if (r < 0)
			break;
		candidates->items[candidates->n] =
			(struct candidate){.name = strdup(entry->d_name), .dir = dir};
		if (!candidates->items[candidates->n].name)
			r = -ENOMEM;
		else
			candidates->n++;
	}
	(void)closedir(stream);
	return r;
}

static int compare_candidate(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
}

static int compare_rule(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->path, y->path);
}

/* What is called for the strongest file of each name. Return: 0, RULE_BAD, FILE_GONE or FILE_MASKED, or -ENOMEM. */
struct visitor {
	int (*function)(const char *path, void *userdata, struct problems *problems);
	void *userdata;
};

/* Visit the strongest file of each name; one that has gone meanwhile counts for nothing. */
static int visit_candidates(const char *const *dirs, const struct candidates *candidates,
	const struct visitor *visitor, struct problems *problems)
{
	const char *settled = NULL;
	bool bad = false;

	for (size_t i = 0; i < candidates->n; i++) {
		const struct candidate *candidate = &candidates->items[i];
		_cleanup_free_
		char *path = NULL;
		int r;

		if (settled && !strcmp(settled, candidate->name))
			continue;
		if (asprintf(&path, "%s/%s", dirs[candidate->dir], candidate->name) < 0) {
			path = NULL; /* asprintf(3) leaves it undefined */
			return -ENOMEM;
		}
		r = visitor->function(path, visitor->userdata, problems);
		if (r < 0)
			return r;
		if (r == RULE_BAD)
			bad = true;
		if (r != FILE_GONE)
			settled = candidate->name;
	}
	return bad ? RULE_BAD : 0;
}

/* A directory that cannot be read is a problem and hinders nothing else. */
static int visit_files(const char *const *dirs, const struct visitor *visitor, struct problems *problems)
{
	_cleanup_(candidates_deinit) struct candidates candidates = {0};
	bool bad = false;
	int r;

	for (size_t i = 0; dirs[i]; i++) {
		r = collect(dirs[i], i, &candidates, problems);
		if (r < 0)
			return r;
		bad = bad || r == RULE_BAD;
	}
	if (candidates.n)
		qsort(candidates.items, candidates.n, sizeof(*candidates.items), compare_candidate);
	r = visit_candidates(dirs, &candidates, visitor, problems);
	return r ? r : bad ? RULE_BAD : 0;
}

static int visit_load(const char *path, void *userdata, struct problems *problems)
{
	struct rule_set *set = userdata;
	struct rule rule;
	int r;

	r = load_file(path, &rule, problems);
	return r ? r : add_rule_consume(set, &rule);
}

int rule_set_load(const char *const *dirs, struct rule_set **ret, struct problems *problems)
{
	_cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	r = visit_files(dirs, &(struct visitor){visit_load, set}, problems);
	if (r)
		return r;
	if (set->n_rules) /* "a.rule" stands behind "a-b.rule", but "a" before "a-b" */
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_rule);
	*ret = TAKE_PTR(set);
	return 0;
}

struct text_visit {
	void (*function)(const char *path, const char *text, size_t size, void *userdata);
	void *userdata;
};

static int visit_text(const char *path, void *userdata, struct problems *problems)
{
	const struct text_visit *visit = userdata;
	_cleanup_free_
	char *text = NULL;
	size_t size = 0;
	int r;

	r = read_file(path, &text, &size, problems);
	if (r == 0 || r == FILE_MASKED)
		visit->function(path, text, size, visit->userdata);
	return r;
}

int rule_foreach_file(const char *const *dirs,
	void (*function)(const char *path, const char *text, size_t size, void *userdata), void *userdata,
	struct problems *problems)
{
	struct text_visit visit = {function, userdata};

	return visit_files(dirs, &(struct visitor){visit_text, &visit}, problems);
}

/* A file that somebody named: there is nothing to mask, so that an empty one is a mistake. */
static int load_named(const char *path, struct rule *ret, struct problems *problems)
{
	int r;

	if (!ends_with_suffix(path))
		return complain(problems, path, "the name of a rule file is NAME.rule");
	r = load_file(path, ret, problems);
	if (r == FILE_GONE)
		return complain_errno(problems, path, "cannot open the file", ENOENT);
	if (r == FILE_MASKED)
		return complain(
			problems, path, "the file is empty; as a rule file it would mask others of its name");
	return r;
}

int rule_set_load_files(const char *const *paths, struct rule_set **ret, struct problems *problems)
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
		qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_rule);
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
