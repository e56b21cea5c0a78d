/* SPDX-License-Identifier: BSD-3-Clause */
#include "named.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../rule/files.h"
#include "../rule/parse.h"
#include "../rule/visit.h"
#include "../util/array.h"
#include "../util/cleanup.h"
#include "../util/instance.h"
#include "../util/name.h"

#define INSTANCE_PREFIX "usher-"

static void strings_deinit(char **strings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(strings[i]);
	free(strings);
}

void named_deinit(struct named *named)
{
	for (size_t i = 0; i < named->n_units; i++) {
		free(named->units[i].unit);
		strings_deinit(named->units[i].instances, named->units[i].n_instances);
	}
	free(named->units);
	strings_deinit(named->instances, named->n_instances);
}

static int add_string(char ***strings, size_t *n, const char *string)
{
	char *copy;

	for (size_t i = 0; i < *n; i++)
		if (!strcmp((*strings)[i], string))
			return 0;
	copy = strdup(string);
	if (!copy || ARRAY_RESERVE(*strings, *n) < 0) {
		free(copy);
		return -ENOMEM;
	}
	(*strings)[(*n)++] = copy;
	return 0;
}

static int add_unit(struct named *named, const char *unit, const char *instance)
{
	struct named_unit *found = NULL;
	int r;

	for (size_t i = 0; i < named->n_units && !found; i++)
		if (!strcmp(named->units[i].unit, unit))
			found = &named->units[i];
	if (!found) {
		char *copy = strdup(unit);

		if (!copy || ARRAY_RESERVE(named->units, named->n_units) < 0) {
			free(copy);
			return -ENOMEM;
		}
		found = &named->units[named->n_units++];
		*found = (struct named_unit){.unit = copy};
	}
	r = add_string(&found->instances, &found->n_instances, instance);
	return r ? r : add_string(&named->instances, &named->n_instances, instance);
}

/* ---- one instance */

struct reading {
	struct named *named;
	const char *instance;
	struct problems *problems;
	int error;
};

static int read_rule(const struct reading *reading, const char *path, const char *text, size_t size)
{
	const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
	_cleanup_free_ char *name = strndup(file_name, strlen(file_name) - strlen(RULE_SUFFIX));
	_cleanup_(rule_deinit) struct rule rule = {};
	int r;

	if (!name)
		return -ENOMEM;
	if (!name_is_valid(name))
		return problems_add(reading->problems, path, 0, "'%s' cannot name a rule: " NAME_RULE, name);
	r = parse_rule(name, path, text, size, &rule, reading->problems);
	for (size_t i = 0; i < rule.sockets.n && !r; i++)
		r = add_unit(reading->named, rule.sockets.items[i].text, reading->instance);
	return r < 0 ? r : 0;
}

/* A file can have a million matches, and most have no such key: then there is nothing to parse. */
static void on_file(const char *path, const char *text, size_t size, void *userdata)
{
	static const char key[] = "Sockets";
	struct reading *reading = userdata;

	if (!reading->error && text && memmem(text, size, key, strlen(key)))
		reading->error = read_rule(reading, path, text, size);
}

static int read_instance(
	const char *root, const char *instance, struct named *named, struct problems *problems)
{
	struct reading reading = {named, instance, problems, 0};
	char paths[INSTANCE_RULE_DIRS][4096];
	const char *dirs[INSTANCE_RULE_DIRS + 1] = {};
	struct instance layout;
	int r;

	if (instance_init(&layout, instance) < 0)
		return 0; /* no broker has such a name */
	for (size_t i = 0; i < INSTANCE_RULE_DIRS; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s%s", root, layout.rules[i]);
		dirs[i] = paths[i];
	}
	r = files_foreach(dirs, on_file, &reading, problems);
	return r < 0 ? r : reading.error;
}

/* ---- all of them */

/* Folders such as /etc/usher-blue. One that cannot be read has none. */
static int find_instances(const char *path, char ***instances, size_t *n)
{
	_cleanup_(closedirp) DIR *folder = opendir(path);
	const struct dirent *entry;
	int r = 0;

	while (folder && !r && (entry = readdir(folder)))
		if (!strncmp(entry->d_name, INSTANCE_PREFIX, strlen(INSTANCE_PREFIX)))
			r = add_string(instances, n, entry->d_name + strlen(INSTANCE_PREFIX));
	return r;
}

static int find_all_instances(const char *root, char ***instances, size_t *n)
{
	struct instance layout;
	int r = add_string(instances, n, "");

	(void)instance_init(&layout, NULL);
	for (size_t i = 0; i < INSTANCE_RULE_DIRS && !r; i++) {
		char path[4096];

		/* "/etc/usher/rules.d": the instances are beside "usher" */
		(void)snprintf(path, sizeof(path), "%s%.*s", root,
			(int)(strstr(layout.rules[i], "/usher/") - layout.rules[i]), layout.rules[i]);
		r = find_instances(path, instances, n);
	}
	return r;
}

int named_find(const char *root, struct named *ret, struct problems *problems)
{
	char **instances = NULL;
	size_t n = 0;
	int r = find_all_instances(root, &instances, &n);

	for (size_t i = 0; i < n && !r; i++)
		r = read_instance(root, instances[i], ret, problems);
	strings_deinit(instances, n);
	return r;
}
