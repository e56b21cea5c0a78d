/* SPDX-License-Identifier: BSD-3-Clause */
#include "notified.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../broker/hand_in.h"
#include "../broker/place.h"
#include "../broker/withdrawal.h"
#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../wire/protocol.h"
#include "request.h"

/* Withdraws a held socket that was shut down or has an error pending: it can serve no more. */
static void on_hang_up(const char *name, uint64_t cookie, void *userdata)
{
	struct broker *broker = userdata;
	struct registry_place place;
	uint32_t seat = 0;

	while (registry_next_place(&broker->registry, name, cookie, &seat, &place)) {
		struct observed about = place_observed(broker, &broker->registry.seats[seat], &place.data);
		char address[ENDPOINT_TEXT_MAX];

		registry_remove(&broker->registry, seat, place.key.slot);
		about.reason = "it was shut down, or an error is pending on it";
		observe(OBSERVE_WITHDRAWN, &about,
			"'%s': the held socket at %s was shut down or has an error pending, and is withdrawn",
			name, place_address(&place.data, address));
	}
	(void)holder_drop(broker->holder, name, cookie);
}

static void watch(struct broker *broker, const struct intake_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_fds; i++) {
		uint64_t cookie;
		socklen_t size = sizeof(cookie);

		if (getsockopt(request->fds[i], SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0)
			(void)holder_watch(broker->holder, broker->event, name, cookie, on_hang_up, broker);
	}
}

static int store(struct broker *broker, const struct intake_request *request, const struct notify *notify,
	struct refusal *refusal)
{
	struct offer_socket sockets[PROTOCOL_HAND_IN_MAX];
	const struct offer_request offer = {
		.owner = &request->identity,
		.pidfd = request->pidfd,
		.via = USHER_VIA_NOTIFY,
		.hold = true,
		.sockets = sockets,
		.n = request->n_fds,
	};
	struct hand_in_outcome outcome;
	int r;

	r = request_check_sockets(request->n_fds, refusal);
	if (r)
		return r;
	for (size_t i = 0; i < request->n_fds; i++) {
		sockets[i].fd = request->fds[i];
		sockets[i].number = i + 1;
		(void)snprintf(
			sockets[i].name, sizeof(sockets[i].name), "%.*s", NAME_LENGTH_MAX + 1, notify->name);
	}
	r = hand_in_offer(broker, &offer, &outcome, refusal);
	if (!r && notify->poll)
		watch(broker, request, notify->name);
	return r;
}

/* Withdraws everything of that name, as the service manager does; closes descriptors that came along. */
static int withdraw(struct broker *broker, const struct intake_request *request, const struct notify *notify,
	struct refusal *refusal)
{
	const struct withdrawal withdrawal = {.sender = &request->identity, .name = notify->name};
	size_t n = 0;

	return withdrawal_perform(broker, &withdrawal, &n, refusal);
}

static void on_request(struct intake_request *request, const struct notify *notify, void *userdata)
{
	struct usherd *usherd = userdata;
	const bool is_store = notify->action == NOTIFY_STORE;
	struct refusal refusal;
	int r;

	r = is_store ? store(&usherd->broker, request, notify, &refusal)
		     : withdraw(&usherd->broker, request, notify, &refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "internal error of the broker (%s)", errno_name(-r));
	if (is_store) {
		request_count_hand_in(usherd, notify->name, &request->identity, r ? &refusal : NULL);
		tally_hand_in_time(clock_monotonic_nsec() - request->received, &usherd->tally);
	}
	if (r)
		request_report_refusal(&request->identity, is_store ? "FDSTORE=1" : "FDSTOREREMOVE=1",
			notify->name, &refusal);
}

static void on_refused(const struct identity *identity, const struct refusal *refusal, void *userdata)
{
	(void)userdata;
	if (identity)
		request_report_refusal(identity, "datagram", NULL, refusal);
	else
		observe(OBSERVE_REFUSED, &(struct observed){.reason = refusal->text, .error = refusal->error},
			"refused a datagram: %s", refusal->text);
}

int notified_open(struct usherd *usherd, int passed_consume)
{
	const struct notify_handlers handlers = {
		.request = on_request, .refused = on_refused, .userdata = usherd};

	return notify_door_new(usherd->broker.event, passed_consume, usherd->broker.instance->notify,
		&handlers, &usherd->notify_door);
}
