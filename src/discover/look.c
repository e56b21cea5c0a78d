/* SPDX-License-Identifier: BSD-3-Clause */
#include "look.h"

#include <errno.h>
#include <string.h>

#include "../observe/observe.h"
#include "../scan/deliver.h"
#include "../util/errno_name.h"

#define BROKER_TIMEOUT_MS 5000

static int hand_in_accepted(
	const struct looker *looker, struct scan_candidates *candidates, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	bool is_early = false, is_accepted = false;
	int r;

	for (size_t i = 0; i < candidates->n; i++) {
		is_accepted |= candidates->items[i].accepted;
		is_early |= agenda_has_early(looker->agenda, candidates->items[i].socket.cookie);
	}
	if (!is_accepted && !is_early)
		return 0;
	r = client_open(&client, looker->socket, BROKER_TIMEOUT_MS, refusal);
	if (!r)
		r = deliver_candidates(&client, candidates, refusal);
	for (size_t i = 0; i < candidates->n && !r; i++) {
		struct scan_candidate *candidate = &candidates->items[i];

		if (!candidate->accepted && agenda_has_early(looker->agenda, candidate->socket.cookie))
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

void look_once(struct looker *looker, const struct scan *scan, struct look_outcome *ret)
{
	_cleanup_(scan_candidates_deinit) struct scan_candidates candidates = {.n = 0};
	struct refusal refusal;
	int r;

	*ret = (struct look_outcome){.is_unfinished = true};
	r = scan_run(scan, &candidates, &refusal);
	if (r < 0)
		(void)refuse(&refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	if (r) {
		observe(OBSERVE_FAILED, NULL, "cannot look for sockets: %s", refusal.text);
		return;
	}
	ret->is_unfinished = hand_in_accepted(looker, &candidates, &refusal) != 0;
	for (size_t i = 0; i < candidates.n; i++) {
		const struct scan_candidate *candidate = &candidates.items[i];

		if (!candidate->accepted && !has_ended(candidate))
			complaints_report(&looker->complaints, candidate);
		ret->is_moving |= !candidate->accepted && is_moving(candidate);
		ret->is_new |= candidate->handed_in && !candidate->kept;
	}
}
