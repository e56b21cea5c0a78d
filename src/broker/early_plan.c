/* SPDX-License-Identifier: BSD-3-Clause */
#include "early_plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rule/fault.h"

_Static_assert(RULE_KERNEL_USERS_MAX == USHER_EARLY_UIDS, "an entry has room for all users of a rule");

struct early_plan *early_plan_free(struct early_plan *plan)
{
	if (!plan)
		return NULL;
	free(plan->rules);
	free(plan->seats);
	free(plan);
	return NULL;
}

/* The kernel compares whole names only. What it lets in too much without a name, the hand-in refuses. */
static void write_unit(const struct rule *rule, char unit[static USHER_UNIT_MAX])
{
	const struct rule_words *units = &rule->discover.units;

	if (units->n == 1 && !strpbrk(units->items[0].text, "*?[\\"))
		(void)snprintf(unit, USHER_UNIT_MAX, "%s", units->items[0].text);
}

static void add_entry(struct early_plan *plan, const struct generation *generation, const struct rule *rule,
	const struct rule_match *socket, int family)
{
	struct registry_early_rule *entry = &plan->rules[plan->n_rules];
	struct refusal refusal;

	entry->key = (struct usher_early_key){
		.family = (uint8_t)family, .any = socket->prefix.family == AF_UNSPEC, .port = socket->first};
	entry->rule = (struct usher_early_rule){
		.seat = generation_seat(generation, rule, IPPROTO_TCP, family),
		.seat_ipv4 = family == AF_INET6 ? generation_seat(generation, rule, IPPROTO_TCP, AF_INET) : 0,
	};
	if (!entry->rule.seat && !entry->rule.seat_ipv4)
		return;
	if (!entry->key.any) {
		if (access_check_bound(rule, family, socket->prefix.address, socket->first, &refusal))
			return; /* no hand-in would ever follow */
		memcpy(entry->key.address, socket->prefix.address, sizeof(entry->key.address));
	}
	entry->rule.n_uids =
		(uint32_t)access_discover_uids(generation->access, rule, entry->rule.uids, USHER_EARLY_UIDS);
	write_unit(rule, entry->rule.unit);
	plan->n_rules++;
}

static void add_rule(struct early_plan *plan, const struct generation *generation, const struct rule *rule)
{
	for (size_t i = 0; i < rule->discover.n_sockets; i++) {
		const struct rule_match *socket = &rule->discover.sockets[i];

		if (socket->prefix.family != AF_INET6)
			add_entry(plan, generation, rule, socket, AF_INET);
		if (socket->prefix.family != AF_INET)
			add_entry(plan, generation, rule, socket, AF_INET6);
	}
}

static int compare_added(const void *a, const void *b)
{
	const struct registry_early_rule *x = *(const struct registry_early_rule *const *)a,
					 *y = *(const struct registry_early_rule *const *)b;
	int r = registry_compare_early_rules(x, y);

	return r ? r : (x > y) - (x < y);
}

/* Sorts as the registry requires. Of entries with the same key, the one that was added first stays. */
static int sort_entries(struct early_plan *plan)
{
	_cleanup_free_ const struct registry_early_rule **added = calloc(plan->n_rules + 1, sizeof(*added));
	_cleanup_free_ struct registry_early_rule *sorted = calloc(plan->n_rules + 1, sizeof(*sorted));
	size_t n = 0;

	if (!added || !sorted)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_rules; i++)
		added[i] = &plan->rules[i];
	qsort(added, plan->n_rules, sizeof(*added), compare_added);
	for (size_t i = 0; i < plan->n_rules; i++)
		if (!n || registry_compare_early_rules(&sorted[n - 1], added[i]))
			sorted[n++] = *added[i];
	free(plan->rules);
	plan->rules = TAKE_PTR(sorted);
	plan->n_rules = n;
	return 0;
}

static int list_seats(struct early_plan *plan)
{
	_cleanup_free_ uint8_t *wanted = calloc(1, USHER_SEATS_MAX);

	plan->seats = calloc(2 * plan->n_rules + 1, sizeof(*plan->seats));
	if (!wanted || !plan->seats)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_rules; i++) {
		wanted[plan->rules[i].rule.seat] = 1;
		wanted[plan->rules[i].rule.seat_ipv4] = 1;
	}
	for (uint32_t seat = 1; seat < USHER_SEATS_MAX; seat++)
		if (wanted[seat])
			plan->seats[plan->n_seats++].number = seat;
	return 0;
}

int early_plan_new(const struct generation *generation, struct early_plan **ret, struct refusal *refusal)
{
	_cleanup_(early_plan_freep) struct early_plan *plan = calloc(1, sizeof(*plan));
	const struct rule_set *set = generation->rules;
	size_t n_max = 0;
	int r;

	for (size_t i = 0; i < set->n_rules; i++)
		n_max += set->rules[i].discover.in_kernel ? 2 * set->rules[i].discover.n_sockets : 0;
	if (plan)
		plan->rules = calloc(n_max + 1, sizeof(*plan->rules));
	if (!plan || !plan->rules)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].discover.in_kernel && !fault_find_own(set, set->rules[i].name))
			add_rule(plan, generation, &set->rules[i]);
	r = sort_entries(plan);
	if (r < 0)
		return r;
	if (plan->n_rules > USHER_EARLY_MAX)
		return refuse(refusal, ENOSPC,
			"the rules with Listen=kernel describe %zu sockets (a port without an address counts twice), and the kernel's table has room for %u (ENOSPC); write Listen=event in some",
			plan->n_rules, USHER_EARLY_MAX);
	r = list_seats(plan);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(plan);
	return 0;
}
