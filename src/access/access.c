/* SPDX-License-Identifier: BSD-3-Clause */
#include "access.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "../util/text.h"

struct access_ids {
	id_t *users, *groups, *discover_users; /* one for each word of the rule */
};

struct access_table {
	const struct rule_set *set;
	struct access_ids *rules; /* one for each rule of the set */
};

struct access_table *access_table_free(struct access_table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; table->rules && i < table->set->n_rules; i++) {
		free(table->rules[i].users);
		free(table->rules[i].groups);
		free(table->rules[i].discover_users);
	}
	free(table->rules);
	free(table);
	return NULL;
}

static bool user_id(const char *name, id_t *ret)
{
	const struct passwd *entry = getpwnam(name);

	if (entry)
		*ret = entry->pw_uid;
	return entry;
}

static bool group_id(const char *name, id_t *ret)
{
	const struct group *entry = getgrnam(name);

	if (entry)
		*ret = entry->gr_gid;
	return entry;
}

static int resolve(const struct rule *rule, const struct rule_words *words, const char *what,
	bool (*lookup)(const char *name, id_t *ret), id_t **ret, struct problems *problems)
{
	id_t *ids = calloc(words->n + 1, sizeof(*ids));
	int result = 0, r;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < words->n; i++) {
		unsigned long number;

		/* (uid_t) -1 belongs to nobody: for chown(2) it means "do not change" */
		if (text_to_uint(words->items[i].text, (id_t)-2, &number) == 0) {
			ids[i] = (id_t)number;
			continue;
		}
		if (lookup(words->items[i].text, &ids[i]))
			continue;
		r = problems_add(problems, rule->path, words->items[i].line,
			"there is no %s '%s' on this host; create it or give its number", what,
			words->items[i].text);
		if (r < 0) {
			free(ids);
			return r;
		}
		result = ACCESS_BAD;
	}
	*ret = ids;
	return result;
}

static int resolve_rule(const struct rule *rule, struct access_ids *ids, struct problems *problems)
{
	const struct {
		const struct rule_words *words;
		const char *what;
		bool (*lookup)(const char *name, id_t *ret);
		id_t **ret;
	} lists[] = {
		{&rule->access.users, "user", user_id, &ids->users},
		{&rule->access.groups, "group", group_id, &ids->groups},
		{&rule->discover.users, "user", user_id, &ids->discover_users},
	};
	int result = 0, r;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		r = resolve(rule, lists[i].words, lists[i].what, lists[i].lookup, lists[i].ret, problems);
		if (r < 0)
			return r;
		result |= r;
	}
	return result;
}

int access_table_new(const struct rule_set *set, struct access_table **ret, struct problems *problems)
{
	_cleanup_(access_table_freep) struct access_table *table = calloc(1, sizeof(*table));
	int result = 0, r;

	if (!table)
		return -ENOMEM;
	table->set = set;
	table->rules = calloc(set->n_rules + 1, sizeof(*table->rules));
	if (!table->rules)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_rules; i++) {
		r = resolve_rule(&set->rules[i], &table->rules[i], problems);
		if (r < 0)
			return r;
		result |= r;
	}
	if (result)
		return ACCESS_BAD;
	*ret = TAKE_PTR(table);
	return 0;
}

static bool ids_contain(const id_t *ids, size_t n, id_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool group_matches(const id_t *ids, size_t n, const struct identity *identity)
{
	if (ids_contain(ids, n, identity->gid))
		return true;
	for (size_t i = 0; i < identity->n_groups; i++)
		if (ids_contain(ids, n, identity->groups[i]))
			return true;
	return false;
}

/* Whether a glob matches; none matches the empty text, which means "not known". */
static bool glob_matches(const struct rule_words *globs, const char *text, int flags)
{
	for (size_t i = 0; *text && i < globs->n; i++)
		if (!fnmatch(globs->items[i].text, text, flags))
			return true;
	return false;
}

static bool lists_anybody(const struct rule_access *access)
{
	return access->users.n || access->groups.n || access->units.n;
}

int access_check(const struct access_table *table, const struct rule *rule, const struct identity *identity,
	struct refusal *refusal)
{
	const struct access_ids *ids = &table->rules[rule - table->set->rules];
	const struct rule_access *access = &rule->access;

	if (identity->uid == 0)
		return 0;
	if (!lists_anybody(access))
		return refuse(refusal, EACCES,
			"only root may use the name '%s', not uid %u (EACCES); to allow it, add [Access] User= to %s",
			rule->name, identity->uid, rule->path);
	if (access->users.n && !ids_contain(ids->users, access->users.n, identity->uid))
		return refuse(refusal, EACCES,
			"uid %u may not use the name '%s' (EACCES); User= in %s does not list it",
			identity->uid, rule->name, rule->path);
	if (access->groups.n && !group_matches(ids->groups, access->groups.n, identity))
		return refuse(refusal, EACCES,
			"uid %u may not use the name '%s' (EACCES); it is in no group that Group= in %s lists",
			identity->uid, rule->name, rule->path);
	if (access->units.n && !glob_matches(&access->units, identity->unit, 0))
		return refuse(refusal, EACCES,
			"unit '%s' may not use the name '%s' (EACCES); Unit= in %s does not match it",
			*identity->unit ? identity->unit : "(none)", rule->name, rule->path);
	return 0;
}

int access_check_bound(
	const struct rule *rule, int family, const uint8_t *address, uint16_t port, struct refusal *refusal)
{
	char text[ENDPOINT_TEXT_MAX];

	if (rule->access.bound_any)
		return 0;
	for (size_t i = 0; i < rule->access.n_bound; i++)
		if (prefix_contains(&rule->access.bound[i], family, address))
			return 0;
	return refuse(refusal, EACCES,
		"is bound to %s, outside of Bound= of the rule '%s' (EACCES); bind it to a private address such as 127.0.0.2, or widen Bound= in %s",
		endpoint_format(family, address, port, text), rule->name, rule->path);
}

int access_check_owner(const struct access_table *table, const struct rule *rule,
	const struct identity *owner, const char *executable, struct refusal *refusal)
{
	const struct access_ids *ids = &table->rules[rule - table->set->rules];
	const struct rule_discover *discover = &rule->discover;

	if (!discover->present)
		return refuse(refusal, EACCES,
			"sockets of the name '%s' are not discovered (EACCES); to allow it, add [Discover] to %s",
			rule->name, rule->path);
	if (discover->units.n && !glob_matches(&discover->units, owner->unit, 0))
		return refuse(refusal, EACCES,
			"unit '%s' may not own a socket of the name '%s' (EACCES); Unit= under [Discover] in %s does not match it",
			*owner->unit ? owner->unit : "(none)", rule->name, rule->path);
	if (discover->executables.n && executable &&
		!glob_matches(&discover->executables, executable, FNM_PATHNAME))
		return refuse(refusal, EACCES,
			"program '%.200s' may not own a socket of the name '%s' (EACCES); Executable= under [Discover] in %s does not match it",
			executable, rule->name, rule->path);
	if (owner->uid == 0)
		return 0;
	if (discover->users.n && !ids_contain(ids->discover_users, discover->users.n, owner->uid))
		return refuse(refusal, EACCES,
			"uid %u may not own a socket of the name '%s' (EACCES); User= under [Discover] in %s does not list it",
			owner->uid, rule->name, rule->path);
	if (discover->users.n || discover->units.n)
		return 0;
	if (!lists_anybody(&rule->access))
		return refuse(refusal, EACCES,
			"only root may own a socket of the name '%s', not uid %u (EACCES); to allow it, add User= under [Discover] in %s",
			rule->name, owner->uid, rule->path);
	return access_check(table, rule, owner, refusal);
}

void access_discover_uids(
	const struct access_table *table, const struct rule *rule, const uid_t **ret, size_t *ret_n)
{
	*ret = table->rules[rule - table->set->rules].discover_users;
	*ret_n = rule->discover.users.n;
}
