/* SPDX-License-Identifier: BSD-3-Clause */
#include "look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../scan/deliver.h"
#include "../util/errno_name.h"

#define BROKER_TIMEOUT_MS 5000

static int hand_in_accepted(const struct looker *looker, const struct agenda *agenda,
	struct scan_candidates *candidates, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	bool is_early = false, is_accepted = false;
	int r;

	for (size_t i = 0; i < candidates->n; i++) {
		is_accepted |= candidates->items[i].accepted;
		is_early |= agenda_has_early(agenda, candidates->items[i].socket.cookie);
	}
	if (!is_accepted && !is_early)
		return 0;
	r = client_open(&client, looker->socket, BROKER_TIMEOUT_MS, refusal);
	if (!r)
		r = deliver_candidates(&client, candidates, refusal);
	for (size_t i = 0; i < candidates->n && !r; i++) {
		struct scan_candidate *candidate = &candidates->items[i];

		if (!candidate->accepted && agenda_has_early(agenda, candidate->socket.cookie))
			r = deliver_evict(&client, candidate->rule->name, candidate->socket.cookie,
				candidate->refusal.text, refusal);
		if (r == REFUSED)
			r = 0; /* it was closed, or the broker has evicted it already */
	}
	return r ? DELIVER_ABSENT : 0;
}

/* If the process has ended since, its socket is gone too: nothing is wrong. */
static bool has_ended(const struct scan_candidate *candidate)
{
	return candidate->owner.pidfd >= 0 && !process_is_alive(&candidate->owner);
}

/* No process had it open, or it changed hands each time: a process may have it a moment later, without an event. */
static bool is_moving(const struct scan_candidate *candidate)
{
	return candidate->refusal.error == EAGAIN || candidate->refusal.error == ESRCH ||
	       has_ended(candidate);
}

static bool is_short_of_descriptors(const struct scan_candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		if (!candidates->items[i].accepted && candidates->items[i].refusal.error == EMFILE)
			return true;
	return false;
}

static void complain(const struct looker *looker, const struct scan_candidate *candidate)
{
	const struct diag_socket *socket = &candidate->socket;
	struct complaint complaint = {
		.cookie = socket->cookie,
		.port = socket->port,
		.protocol = socket->protocol,
		.family = socket->family,
		.uid = socket->uid,
		.pid = candidate->owner.pid,
		.error = candidate->refusal.error,
	};

	memcpy(complaint.address, socket->address, sizeof(complaint.address));
	(void)snprintf(complaint.process, sizeof(complaint.process), "%s", candidate->owner.name);
	(void)snprintf(complaint.unit, sizeof(complaint.unit), "%s", candidate->owner.unit ?: "");
	(void)snprintf(complaint.name, sizeof(complaint.name), "%s", candidate->rule->name);
	(void)snprintf(complaint.text, sizeof(complaint.text), "%s", candidate->refusal.text);
	looker->complain(&complaint, looker->userdata);
}

static void look_at_each_rule(const struct looker *looker, const struct scan *scan,
	const struct agenda *agenda, struct look_outcome *ret)
{
	for (size_t i = 0; i < scan->rules->n_rules && !ret->is_unfinished; i++) {
		const struct rule *rule = &scan->rules->rules[i];
		struct scan portion = *scan;
		struct look_outcome outcome;

		if (!rule->discover.present)
			continue;
		portion.name = rule->name;
		look_once(looker, &portion, agenda, &outcome);
		ret->is_new |= outcome.is_new;
		ret->is_moving |= outcome.is_moving;
		ret->is_unfinished |= outcome.is_unfinished;
	}
}

void look_once(const struct looker *looker, const struct scan *scan, const struct agenda *agenda,
	struct look_outcome *ret)
{
	_cleanup_(scan_candidates_deinit) struct scan_candidates candidates = {.n = 0};
	struct refusal refusal;
	int r;

	*ret = (struct look_outcome){.is_unfinished = true};
	r = scan_run(scan, &candidates, &refusal);
	if (r < 0)
		(void)refuse(&refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	if (r) {
		looker->fail(refusal.text, looker->userdata);
		return;
	}
	if (!scan->name && is_short_of_descriptors(&candidates)) {
		scan_candidates_deinit(&candidates);
		ret->is_unfinished = false;
		look_at_each_rule(looker, scan, agenda, ret);
		return;
	}
	ret->is_unfinished = hand_in_accepted(looker, agenda, &candidates, &refusal) != 0;
	for (size_t i = 0; i < candidates.n; i++) {
		const struct scan_candidate *candidate = &candidates.items[i];

		if (!candidate->accepted && !has_ended(candidate))
			complain(looker, candidate);
		ret->is_moving |= !candidate->accepted && is_moving(candidate);
		ret->is_new |= candidate->handed_in && !candidate->kept;
	}
}
