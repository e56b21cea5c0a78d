/* SPDX-License-Identifier: BSD-3-Clause */
#include "access.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/text.h"

/* One word of User= or Group= */
struct access_word {
	id_t id;
	struct account *account; /* NULL: the word is a number; else the account has it */
};

struct access_ids {
	struct access_word *users, *groups, *discover_users; /* one for each word of the rule */
};

struct access_table {
	const struct rule_set *set;
	struct accounts *accounts, *own; /* own: not shared with other tables; or NULL */
	struct access_ids *rules;	 /* one for each rule of the set */
};

/* The lists of words of a rule that are users or groups */
#define LISTS 3U

struct list {
	const struct rule_words *words;
	enum account_kind kind;
	const char *section;
	struct access_word **ids;
};

static void read_lists(const struct rule *rule, struct access_ids *ids, struct list lists[static LISTS])
{
	lists[0] = (struct list){&rule->access.users, ACCOUNT_USER, "Access", &ids->users};
	lists[1] = (struct list){&rule->access.groups, ACCOUNT_GROUP, "Access", &ids->groups};
	lists[2] = (struct list){&rule->discover.users, ACCOUNT_USER, "Discover", &ids->discover_users};
}

struct access_table *access_table_free(struct access_table *table)
{
	struct list lists[LISTS];

	if (!table)
		return NULL;
	for (size_t i = 0; table->rules && i < table->set->n_rules; i++) {
		read_lists(&table->set->rules[i], &table->rules[i], lists);
		for (size_t k = 0; k < LISTS; k++) {
			struct access_word *words = *lists[k].ids;

			for (size_t n = 0; words && n < lists[k].words->n; n++)
				if (words[n].account)
					accounts_drop(table->accounts, words[n].account);
			free(words);
		}
	}
	free(table->rules);
	accounts_free(table->own);
	free(table);
	return NULL;
}

static int read_words(struct accounts *accounts, const struct list *list)
{
	struct access_word *words = calloc(list->words->n + 1, sizeof(*words));

	*list->ids = words;
	for (size_t i = 0; words && i < list->words->n; i++) {
		const char *text = list->words->items[i].text;
		unsigned long number;

		/* (uid_t) -1 belongs to nobody: for chown(2) it means "do not change" */
		if (text_to_uint(text, (id_t)-2, &number) == 0)
			words[i].id = (id_t)number;
		else if (!(words[i].account = accounts_use(accounts, list->kind, text)))
			return -ENOMEM;
	}
	return words ? 0 : -ENOMEM;
}

int access_table_new(const struct rule_set *set, struct accounts *accounts, struct access_table **ret)
{
	_cleanup_(access_table_freep) struct access_table *table = calloc(1, sizeof(*table));
	struct list lists[LISTS];
	int r = 0;

	if (!table)
		return -ENOMEM;
	table->set = set;
	if (!accounts)
		accounts = table->own = accounts_new();
	table->accounts = accounts;
	table->rules = calloc(set->n_rules + 1, sizeof(*table->rules));
	if (!accounts || !table->rules)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_rules; i++) {
		read_lists(&set->rules[i], &table->rules[i], lists);
		for (size_t k = 0; k < LISTS && !r; k++)
			r = read_words(accounts, &lists[k]);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(table);
	return 0;
}

struct unknown {
	struct account **items;
	struct account_query *queries;
	size_t n, n_max;
};

static void count_unknown(struct account *account, void *userdata)
{
	((struct unknown *)userdata)->n_max += !account->known;
}

static void add_unknown(struct account *account, void *userdata)
{
	struct unknown *unknown = userdata;

	if (account->known)
		return;
	unknown->queries[unknown->n] = (struct account_query){.kind = account->kind, .name = account->name};
	unknown->items[unknown->n++] = account;
}

int access_table_look_up(struct access_table *table)
{
	struct unknown unknown = {.n = 0};
	_cleanup_free_ struct account_query *queries = NULL;
	_cleanup_free_ struct account **items = NULL;
	bool late = false;

	accounts_foreach(table->accounts, count_unknown, &unknown);
	unknown.queries = queries = calloc(unknown.n_max + 1, sizeof(*queries));
	unknown.items = items = calloc(unknown.n_max + 1, sizeof(struct account *));
	if (!queries || !items)
		return -ENOMEM;
	accounts_foreach(table->accounts, add_unknown, &unknown);
	account_find_all(queries, unknown.n, ACCESS_LOOK_UP_MS);
	for (size_t i = 0; i < unknown.n; i++) {
		(void)account_answer(items[i], queries[i].result, queries[i].id, 1);
		late |= queries[i].result == -ETIMEDOUT;
	}
	return late ? ACCESS_LATE : 0;
}

static int add_warning(
	const struct rule *rule, const struct list *list, size_t index, struct problems *warnings)
{
	const struct account *account = (*list->ids)[index].account;
	const char *what = account_word(list->kind), *name = account->name;
	unsigned line = list->words->items[index].line;

	if (account->result >= 0)
		return problems_add(warnings, rule->path, line,
			"there is no %s '%s' on this host, so the word admits nobody until there is one; create it or give its number",
			what, name);
	return problems_add(warnings, rule->path, line,
		"nobody says which number %s '%s' has (%s), so the word admits nobody until somebody does; see 'getent %s %s', or give the number",
		what, name, errno_name(-account->result), list->kind == ACCOUNT_USER ? "passwd" : "group",
		name);
}

int access_table_warn(const struct access_table *table, struct problems *warnings)
{
	struct list lists[LISTS];
	int r = 0;

	for (size_t i = 0; i < table->set->n_rules; i++) {
		const struct rule *rule = &table->set->rules[i];

		read_lists(rule, &table->rules[i], lists);
		for (size_t k = 0; k < LISTS; k++)
			for (size_t n = 0; n < lists[k].words->n && !r; n++) {
				const struct account *account = (*lists[k].ids)[n].account;

				if (account && account->asked && !account->known)
					r = add_warning(rule, &lists[k], n, warnings);
			}
	}
	return r;
}

static bool words_contain(const struct access_word *words, size_t n, id_t id)
{
	for (size_t i = 0; i < n; i++)
		if (words[i].account ? words[i].account->known && words[i].account->id == id
				     : words[i].id == id)
			return true;
	return false;
}

static bool group_matches(const struct access_word *words, size_t n, const struct identity *identity)
{
	if (words_contain(words, n, identity->gid))
		return true;
	for (size_t i = 0; i < identity->n_groups; i++)
		if (words_contain(words, n, identity->groups[i]))
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

/* Of a user's service manager. UserUnit= is nothing without User=, which the parser requires. */
static int check_user_unit(const struct rule_words *user_units, const struct rule *rule,
	const struct identity *identity, const char *key, struct refusal *refusal)
{
	const char *unit = identity->user_unit ? identity->user_unit : "";

	if (!user_units->n || glob_matches(user_units, unit, 0))
		return 0;
	return refuse(refusal, EACCES,
		"unit '%s' of the service manager of uid %u may not have the name '%s' (EACCES); %s in %s does not match it",
		*unit ? unit : "(none)", identity->uid, rule->name, key, rule->path);
}

static bool lists_anybody(const struct rule_access *access)
{
	return access->users.n || access->groups.n || access->units.n;
}

/* The first word that has no number; NULL: all have one */
static const char *find_unknown(const struct access_word *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (words[i].account && !words[i].account->known)
			return words[i].account->name;
	return NULL;
}

static int refuse_user(const struct rule *rule, const struct access_ids *ids, const struct identity *identity,
	struct refusal *refusal)
{
	const char *unknown = find_unknown(ids->users, rule->access.users.n);

	if (unknown)
		return refuse(refusal, EACCES,
			"uid %u may not use the name '%s' (EACCES); of the users that User= in %s lists, this host does not know '%s'",
			identity->uid, rule->name, rule->path, unknown);
	return refuse(refusal, EACCES,
		"uid %u may not use the name '%s' (EACCES); User= in %s does not list it", identity->uid,
		rule->name, rule->path);
}

static int refuse_group(const struct rule *rule, const struct access_ids *ids,
	const struct identity *identity, struct refusal *refusal)
{
	const char *unknown = find_unknown(ids->groups, rule->access.groups.n);

	if (unknown)
		return refuse(refusal, EACCES,
			"uid %u may not use the name '%s' (EACCES); of the groups that Group= in %s lists, this host does not know '%s'",
			identity->uid, rule->name, rule->path, unknown);
	return refuse(refusal, EACCES,
		"uid %u may not use the name '%s' (EACCES); it is in no group that Group= in %s lists",
		identity->uid, rule->name, rule->path);
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
	if (access->users.n && !words_contain(ids->users, access->users.n, identity->uid))
		return refuse_user(rule, ids, identity, refusal);
	if (access->groups.n && !group_matches(ids->groups, access->groups.n, identity))
		return refuse_group(rule, ids, identity, refusal);
	if (access->units.n && !glob_matches(&access->units, identity->unit, 0))
		return refuse(refusal, EACCES,
			"unit '%s' may not use the name '%s' (EACCES); Unit= in %s does not match it",
			*identity->unit ? identity->unit : "(none)", rule->name, rule->path);
	return check_user_unit(&access->user_units, rule, identity, "UserUnit=", refusal);
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
	if (check_user_unit(&discover->user_units, rule, owner, "UserUnit= under [Discover]", refusal))
		return REFUSED;
	if (discover->executables.n && executable &&
		!glob_matches(&discover->executables, executable, FNM_PATHNAME))
		return refuse(refusal, EACCES,
			"program '%.200s' may not own a socket of the name '%s' (EACCES); Executable= under [Discover] in %s does not match it",
			executable, rule->name, rule->path);
	if (owner->uid == 0)
		return 0;
	if (discover->users.n && !words_contain(ids->discover_users, discover->users.n, owner->uid))
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

size_t access_discover_uids(const struct access_table *table, const struct rule *rule, uid_t *ret, size_t max)
{
	const struct access_word *words = table->rules[rule - table->set->rules].discover_users;
	size_t n = 0;

	for (size_t i = 0; i < rule->discover.users.n && n < max; i++)
		if (!words[i].account || words[i].account->known)
			ret[n++] = words[i].account ? words[i].account->id : words[i].id;
	return n;
}

/* ---- what is not known yet */

static bool is_in_doubt(const struct account *account, bool allowed, uint64_t now)
{
	if (account->known)
		return !account->asked || account->asked + ACCESS_FRESH_SEC * CLOCK_USEC_PER_SEC < now;
	return !allowed;
}

void access_doubts(const struct access_table *table, const struct rule *rule, const struct identity *identity,
	uint64_t now, void (*function)(struct account *account, void *userdata), void *userdata)
{
	struct list lists[LISTS];
	struct refusal refusal;
	bool allowed = identity && access_check(table, rule, identity, &refusal) == 0;

	if (identity && (!identity->uid || !lists_anybody(&rule->access)))
		return;
	read_lists(rule, &table->rules[rule - table->set->rules], lists);
	for (size_t k = 0; k < (identity ? LISTS - 1 : LISTS); k++)
		for (size_t n = 0; n < lists[k].words->n; n++) {
			struct account *account = (*lists[k].ids)[n].account;

			if (account && is_in_doubt(account, allowed, now))
				function(account, userdata);
		}
}
