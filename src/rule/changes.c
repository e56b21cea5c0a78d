/* SPDX-License-Identifier: BSD-3-Clause */
#include "changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which people write lists of prefixes: such a list need not be sorted. */
static int compare_matches(const struct rule_match *x, const struct rule_match *y)
{
	int r = (int)x->protocol - (int)y->protocol;

	if (!r)
		r = (int)x->prefix.family - (int)y->prefix.family;
	if (!r)
		r = memcmp(x->prefix.address, y->prefix.address, sizeof(x->prefix.address));
	if (!r)
		r = (int)x->prefix.length - (int)y->prefix.length;
	if (!r)
		r = (int)x->first - (int)y->first;
	return r ? r : (int)x->last - (int)y->last;
}

/* A list of matches, and the same sorted */
struct list {
	const struct rule_match *matches;
	size_t n;
	const struct rule_match **sorted;
};

static void list_deinit(struct list *list)
{
	free(list->sorted);
}

static int compare_pointers(const void *a, const void *b)
{
	return compare_matches(*(const struct rule_match *const *)a, *(const struct rule_match *const *)b);
}

static int sort(struct list *list)
{
	bool is_sorted = true;

	list->sorted = calloc(list->n + 1, sizeof(*list->sorted));
	if (!list->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		list->sorted[i] = &list->matches[i];
		is_sorted =
			is_sorted && (!i || compare_matches(&list->matches[i - 1], &list->matches[i]) <= 0);
	}
	if (!is_sorted)
		qsort(list->sorted, list->n, sizeof(*list->sorted), compare_pointers);
	return 0;
}

/* Takes what is alike at both ends off, where nothing has to be sought. Return: how many matches. */
static size_t trim(struct list *old, struct list *new)
{
	size_t n = 0;

	for (; old->n && new->n && !compare_matches(old->matches, new->matches); n++) {
		old->matches++;
		old->n--;
		new->matches++;
		new->n--;
	}
	for (; old->n && new->n && !compare_matches(&old->matches[old->n - 1], &new->matches[new->n - 1]);
		n++) {
		old->n--;
		new->n--;
	}
	return n;
}

static int compare_rules(const struct rule *old, const struct rule *new, struct rule_changes *changes)
{
	_cleanup_(list_deinit) struct list before = {old->matches, old->n_matches, NULL};
	_cleanup_(list_deinit) struct list after = {new->matches, new->n_matches, NULL};
	size_t i = 0, k = 0;
	int r;

	changes->kept += trim(&before, &after);
	r = sort(&before);
	if (!r)
		r = sort(&after);
	if (r < 0)
		return r;
	while (i < before.n || k < after.n) {
		int order = i == before.n  ? 1
			    : k == after.n ? -1
					   : compare_matches(before.sorted[i], after.sorted[k]);

		changes->removed += order < 0;
		changes->added += order > 0;
		changes->kept += order == 0;
		i += order <= 0;
		k += order >= 0;
	}
	return 0;
}

int rule_set_compare(const struct rule_set *old, const struct rule_set *new, struct rule_changes *ret)
{
	size_t n_old = old ? old->n_rules : 0, i = 0, k = 0;
	struct rule_changes changes = {0};
	int r = 0;

	while (!r && (i < n_old || k < new->n_rules)) {
		int order = i == n_old		? 1
			    : k == new->n_rules ? -1
						: strcmp(old->rules[i].name, new->rules[k].name);

		if (order < 0)
			changes.removed += old->rules[i].n_matches;
		else if (order > 0)
			changes.added += new->rules[k].n_matches;
		else if (rule_is_same(&old->rules[i], &new->rules[k]))
			changes.kept += new->rules[k].n_matches;
		else
			r = compare_rules(&old->rules[i], &new->rules[k], &changes);
		i += order <= 0;
		k += order >= 0;
	}
	if (!r)
		*ret = changes;
	return r;
}
