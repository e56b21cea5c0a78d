/* SPDX-License-Identifier: BSD-3-Clause */
#include "changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which people write lists of prefixes, so that such lists need no sorting */
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

/* Skips equal matches at both ends, where nothing has to be searched. */
static void trim(struct rule_change *change)
{
	for (; change->n_old && change->n_new && !compare_matches(change->old, change->new);
		change->n_same++) {
		change->old++;
		change->n_old--;
		change->new ++;
		change->n_new--;
	}
	for (; change->n_old && change->n_new &&
		!compare_matches(&change->old[change->n_old - 1], &change->new[change->n_new - 1]);
		change->n_same++) {
		change->n_old--;
		change->n_new--;
	}
}

int changes_foreach(const struct rule_set *old, const struct rule_set *new,
	int (*function)(const struct rule_change *change, void *userdata), void *userdata)
{
	size_t n_old = old ? old->n_rules : 0, i = 0, k = 0;
	int r = 0;

	while (!r && (i < n_old || k < new->n_rules)) {
		struct rule_change change = {0};
		int order = i == n_old		? 1
			    : k == new->n_rules ? -1
						: strcmp(old->rules[i].name, new->rules[k].name);

		if (!order && rule_is_same(&old->rules[i], &new->rules[k])) {
			change.n_same = new->rules[k].n_matches;
		} else {
			if (order <= 0) {
				change.old = old->rules[i].matches;
				change.n_old = old->rules[i].n_matches;
			}
			if (order >= 0) {
				change.new = new->rules[k].matches;
				change.n_new = new->rules[k].n_matches;
			}
			trim(&change);
		}
		i += order <= 0;
		k += order >= 0;
		r = function(&change, userdata);
	}
	return r;
}

static int compare_pointers(const void *a, const void *b)
{
	return compare_matches(*(const struct rule_match *const *)a, *(const struct rule_match *const *)b);
}

/* Return: pointers to the matches in order; NULL when there is no memory. */
static const struct rule_match **sort_matches(const struct rule_match *matches, size_t n)
{
	const struct rule_match **sorted = calloc(n + 1, sizeof(*sorted));
	bool is_sorted = true;

	for (size_t i = 0; i < n && sorted; i++) {
		sorted[i] = &matches[i];
		is_sorted = is_sorted && (!i || compare_matches(&matches[i - 1], &matches[i]) <= 0);
	}
	if (sorted && !is_sorted)
		qsort(sorted, n, sizeof(*sorted), compare_pointers);
	return sorted;
}

static int count(const struct rule_change *change, void *userdata)
{
	_cleanup_free_ const struct rule_match **before = sort_matches(change->old, change->n_old);
	_cleanup_free_ const struct rule_match **after = sort_matches(change->new, change->n_new);
	struct rule_changes *changes = userdata;
	size_t i = 0, k = 0;

	if (!before || !after)
		return -ENOMEM;
	changes->kept += change->n_same;
	while (i < change->n_old || k < change->n_new) {
		int order = i == change->n_old	 ? 1
			    : k == change->n_new ? -1
						 : compare_matches(before[i], after[k]);

		changes->removed += order < 0;
		changes->added += order > 0;
		changes->kept += order == 0;
		i += order <= 0;
		k += order >= 0;
	}
	return 0;
}

int changes_count(const struct rule_set *old, const struct rule_set *new, struct rule_changes *ret)
{
	struct rule_changes changes = {0};
	int r = changes_foreach(old, new, count, &changes);

	if (!r)
		*ret = changes;
	return r;
}
