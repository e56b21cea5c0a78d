/* SPDX-License-Identifier: BSD-3-Clause */
#include "again.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "host/manager.h"
#include "host/unit.h"
#include "host/usher_unit.h"
#include "view/seats.h"
#include "view/socket_rules.h"

struct again {
	struct client client;
	struct socket_rules rules;
	struct seats seats;
	struct manager manager;
	/* names, each terminated; an empty one ends the list */
	char *listening; /* socket units */
	char *handing;	 /* usher@ that run already */
};

static void again_deinit(struct again *again)
{
	client_close(&again->client);
	socket_rules_deinit(&again->rules);
	seats_deinit(&again->seats);
	manager_deinit(&again->manager);
	free(again->listening);
	free(again->handing);
}

static bool is_in(const char *names, const char *unit)
{
	for (const char *at = names; at && *at; at += strlen(at) + 1)
		if (strcmp(at, unit) == 0)
			return true;
	return false;
}

/* The list has each unit under one of its names only. */
static int check_listening(struct again *again, const char *unit, bool *ret, struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit socket = UNIT_NULL;
	int r = 0;

	*ret = is_in(again->listening, unit);
	if (*ret)
		return 0;
	r = unit_load(&again->manager, unit, &socket, refusal);
	*ret = !r && unit_is(&socket, "ActiveState", "active");
	return r;
}

/* Has its usher@ handed something in under the name, or under any, which the broker still has? */
static bool is_handed_in(const struct again *again, const struct socket_rule *rule, const char *service)
{
	for (size_t i = 0; i < again->seats.n; i++) {
		const struct seat *seat = &again->seats.items[i];

		for (size_t j = 0; j < seat->n_places && (!rule->name || strcmp(seat->name, rule->name) == 0);
			j++)
			if (usher_unit_is_listed(service, seat->places[j]->fields[PLACE_UNIT]))
				return true;
	}
	return false;
}

/* The first rule that names the unit stands for all. */
static bool is_first(const struct again *again, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(again->rules.items[i].unit, again->rules.items[at].unit) == 0)
			return false;
	return true;
}

static bool lacks_some(const struct again *again, const char *unit, const char *service)
{
	for (size_t i = 0; i < again->rules.n; i++)
		if (strcmp(again->rules.items[i].unit, unit) == 0 &&
			!is_handed_in(again, &again->rules.items[i], service))
			return true;
	return false;
}

/* systemd is asked before the broker: what usher@ has handed in since it ended is in the list of the broker */
static int ask_both(struct again *again, struct refusal *refusal)
{
	struct writer writer;
	int r = manager_get_units(&again->manager, "*.socket", "active", &again->listening, refusal);

	if (!r)
		r = manager_get_units(
			&again->manager, "usher@*.service", "activating", &again->handing, refusal);
	if (r)
		return r;
	client_begin(&writer, REQUEST_LIST);
	return ask(&again->client, &writer, NULL, 0, seats_add_row, &again->seats, refusal);
}

static int start_missing(struct again *again, struct refusal *refusal)
{
	int r = 0;

	for (size_t i = 0; i < again->rules.n && !r; i++) {
		const char *unit = again->rules.items[i].unit;
		char service[USHER_SERVICE_MAX];
		bool listens;

		usher_unit_format(unit, service);
		if (!is_first(again, i) || is_in(again->handing, service) ||
			!lacks_some(again, unit, service))
			continue;
		r = check_listening(again, unit, &listens, refusal);
		if (!r && listens)
			r = manager_start(&again->manager, service, refusal);
	}
	return r;
}

int again_run(const struct ctl *ctl)
{
	_cleanup_(again_deinit) struct again again = {.client = CLIENT_NULL, .manager = MANAGER_NULL};
	struct refusal refusal;
	int r = ask_open(&again.client, ctl, ASK_TIMEOUT_MS, &refusal);

	if (r == CLIENT_ABSENT && ctl->if_broker)
		return EXIT_SUCCESS;
	if (!r)
		r = ctl->unit ? socket_rules_add_unit(&again.rules, ctl->unit)
			      : socket_rules_ask(&again.client, NULL, &again.rules, &refusal);
	if (!r && again.rules.n)
		r = ask_both(&again, &refusal);
	if (!r)
		r = start_missing(&again, &refusal);
	return r ? complain_refusal(r, &refusal, "cannot hand in the sockets of the units in the rules")
		 : EXIT_SUCCESS;
}
