/* SPDX-License-Identifier: BSD-3-Clause */
#include "naming.h"

#include "../observe/observe.h"
#include "../rule/fault.h"
#include "../util/clock.h"
#include "../worker/staff.h"
#include "early.h"

#define UNKNOWN_REPORTED_MAX 20U

static void report_unknown(struct broker *broker)
{
	_cleanup_(problems_deinit) struct problems warnings = PROBLEMS_NULL;
	char text[1024];

	broker->warnings_due = false;
	(void)access_table_warn(broker->generation->access, &warnings);
	for (size_t i = 0; i < warnings.n && i < UNKNOWN_REPORTED_MAX; i++) {
		const struct observed about = {
			.rule = warnings.items[i].file, .reason = warnings.items[i].text};

		observe(OBSERVE_UNKNOWN, &about, "%s",
			problem_format(&warnings.items[i], text, sizeof(text)));
	}
	if (warnings.n > UNKNOWN_REPORTED_MAX)
		observe(OBSERVE_UNKNOWN, NULL,
			"%zu more words of User= and Group= admit nobody; 'usherctl check' lists all",
			warnings.n - UNKNOWN_REPORTED_MAX);
}

/* Listen=kernel admits users by number. */
static void plan_early_again(struct broker *broker)
{
	_cleanup_(early_plan_freep) struct early_plan *plan = NULL;
	struct refusal refusal = {.text = "out of memory"};

	if (early_plan_new(broker->generation, &plan, &refusal) == 0)
		early_apply(broker, plan);
	else
		observe(OBSERVE_FAILED, NULL, "the rules with Listen=kernel are as before: %s", refusal.text);
}

static void on_looked_up(bool altered, void *userdata)
{
	struct broker *broker = userdata;

	if (altered)
		plan_early_again(broker);
	if (broker->warnings_due)
		report_unknown(broker);
}

void naming_look_up(struct broker *broker)
{
	broker->warnings_due = true;
	lookups_ask_all(broker->lookups);
}

int naming_begin(struct broker *broker, struct staff *staff)
{
	broker->staff = staff;
	return lookups_new(
		broker->event, staff->nursery, broker->accounts, on_looked_up, broker, &broker->lookups);
}

void naming_wait(const struct broker *broker, const char *name, const struct identity *identity,
	struct lookup_wait *wait)
{
	const struct rule *rule = rule_set_find(broker->generation->rules, name);

	if (rule && !fault_find(broker->generation->rules, name))
		access_doubts(broker->generation->access, rule, identity, clock_monotonic_usec(),
			lookup_wait_for, wait);
}

static void note_doubt(struct account *account, void *userdata)
{
	(void)account;
	*(bool *)userdata = true;
}

int naming_admits(const struct broker *broker, const struct rule *rule, const struct identity *identity,
	struct refusal *refusal)
{
	const struct access_table *access = broker->generation->access;
	int r = access_check(access, rule, identity, refusal);
	bool doubt = false;

	if (r)
		access_doubts(access, rule, identity, clock_monotonic_usec(), note_doubt, &doubt);
	return doubt ? 0 : r;
}
