/* SPDX-License-Identifier: BSD-3-Clause */
#include "accounts.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct accounts {
	void *tree; /* tsearch(3), of struct account */
};

static int compare(const void *a, const void *b)
{
	const struct account *x = a, *y = b;

	return x->kind != y->kind ? (x->kind > y->kind) - (x->kind < y->kind) : strcmp(x->name, y->name);
}

struct accounts *accounts_new(void)
{
	return calloc(1, sizeof(struct accounts));
}

struct accounts *accounts_free(struct accounts *accounts)
{
	free(accounts);
	return NULL;
}

static void account_free(struct account *account)
{
	free(account->name);
	free(account);
}

struct account *accounts_use(struct accounts *accounts, enum account_kind kind, const char *name)
{
	struct account *account = calloc(1, sizeof(*account)), **node;

	if (!account)
		return NULL;
	account->kind = kind;
	account->name = strdup(name);
	node = account->name ? tsearch(account, &accounts->tree, compare) : NULL;
	if (!node || *node != account)
		account_free(account);
	if (!node)
		return NULL;
	(*node)->n_references++;
	return *node;
}

void accounts_drop(struct accounts *accounts, struct account *account)
{
	if (--account->n_references)
		return;
	(void)tdelete(account, &accounts->tree, compare);
	account_free(account);
}

struct visit {
	void (*function)(struct account *account, void *userdata);
	void *userdata;
};

static void visit_node(const void *node, VISIT which, void *userdata)
{
	const struct visit *visit = userdata;

	if (which == postorder || which == leaf)
		visit->function(*(struct account *const *)node, visit->userdata);
}

void accounts_foreach(
	struct accounts *accounts, void (*function)(struct account *account, void *userdata), void *userdata)
{
	struct visit visit = {function, userdata};

	twalk_r(accounts->tree, visit_node, &visit);
}

bool account_answer(struct account *account, int result, id_t id, uint64_t asked)
{
	bool was = account->known;
	id_t before = account->id;

	account->asked = asked;
	account->result = result;
	if (result < 0)
		return false;
	account->known = result == 0;
	account->id = id;
	return was != account->known || (was && before != id);
}
