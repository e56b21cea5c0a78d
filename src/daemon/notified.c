/* SPDX-License-Identifier: BSD-3-Clause */
#include "notified.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/hand_in.h"
#include "../broker/named_rule.h"
#include "../broker/naming.h"
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

/* What the broker works on while a worker has the sockets */
struct storing {
	struct storing *next;
	struct usherd *usherd;
	struct intake_request *request; /* the door's */
	char name[NOTIFY_NAME_MAX + 1];
	bool poll;
	struct offer_socket sockets[PROTOCOL_HAND_IN_MAX];
	uint64_t cookies[PROTOCOL_HAND_IN_MAX];
	struct offer_request offer;
	struct lookup_wait *wait; /* before the hand-in; or NULL */
	struct hand_in *hand_in;
};

static void storing_free(struct storing *storing)
{
	struct storing **at = &storing->usherd->storings;

	while (*at && *at != storing)
		at = &(*at)->next;
	if (*at)
		*at = storing->next;
	free(storing);
}

static void conclude(struct usherd *usherd, const struct intake_request *request, const char *name,
	int result, const struct refusal *refusal)
{
	struct refusal internal;

	if (result < 0) {
		(void)refuse(&internal, -result, "internal error of the broker (%s)", errno_name(-result));
		refusal = &internal;
	}
	request_count_hand_in(usherd, name, &request->identity, result ? refusal : NULL);
	tally_hand_in_time(clock_monotonic_nsec() - request->received, &usherd->tally);
	if (result)
		request_report_refusal(&request->identity, "FDSTORE=1", name, refusal);
}

static void on_done(
	int result, const struct hand_in_outcome *outcome, const struct refusal *refusal, void *userdata)
{
	struct storing *storing = userdata;
	struct broker *broker = &storing->usherd->broker;
	struct intake_request *request = storing->request;

	(void)outcome;
	for (size_t i = 0; !result && storing->poll && i < storing->offer.n; i++)
		(void)holder_watch(broker->holder, broker->event, storing->name, storing->cookies[i],
			on_hang_up, broker);
	conclude(storing->usherd, request, storing->name, result, refusal);
	storing_free(storing);
	notify_door_done(request);
}

static int begin(struct storing *storing, struct refusal *refusal)
{
	int r = hand_in_begin(&storing->usherd->broker, &storing->offer, &storing->request->parcel, on_done,
		storing, &storing->hand_in, refusal);

	if (r)
		storing_free(storing);
	return r;
}

static void on_looked_up(void *userdata)
{
	struct storing *storing = userdata;
	struct usherd *usherd = storing->usherd;
	struct intake_request *request = storing->request;
	char name[NOTIFY_NAME_MAX + 1];
	struct refusal refusal;
	int r;

	storing->wait = NULL;
	(void)snprintf(name, sizeof(name), "%s", storing->name);
	r = begin(storing, &refusal);
	if (!r)
		return;
	conclude(usherd, request, name, r, &refusal);
	notify_door_done(request);
}

static int store(struct usherd *usherd, struct intake_request *request, const struct notify *notify,
	struct refusal *refusal)
{
	struct storing *storing;
	int r;

	r = request_check_sockets(request->n_fds, refusal);
	if (r)
		return r;
	storing = calloc(1, sizeof(*storing));
	if (!storing)
		return -ENOMEM;
	storing->usherd = usherd;
	storing->request = request;
	storing->poll = notify->poll;
	(void)snprintf(storing->name, sizeof(storing->name), "%s", notify->name);
	for (size_t i = 0; i < request->n_fds; i++) {
		storing->sockets[i].number = i + 1;
		(void)snprintf(storing->sockets[i].name, sizeof(storing->sockets[i].name), "%.*s",
			NAME_LENGTH_MAX + 1, notify->name);
		storing->cookies[i] = request->parcel->sights[i].facts.cookie;
	}
	storing->offer = (struct offer_request){
		.owner = &request->identity,
		.pidfd = request->pidfd,
		.via = USHER_VIA_NOTIFY,
		.hold = true,
		.parcel = request->parcel,
		.sockets = storing->sockets,
		.n = request->n_fds,
	};
	storing->next = usherd->storings;
	usherd->storings = storing;
	storing->wait = lookups_wait(usherd->broker.lookups, on_looked_up, storing);
	if (storing->wait)
		naming_wait(&usherd->broker, storing->name, &request->identity, storing->wait);
	if (storing->wait && !lookup_wait_is_over(storing->wait))
		return 0;
	lookup_cancel(TAKE_PTR(storing->wait));
	return begin(storing, refusal);
}

/* Withdraws everything of that name, as the service manager does; closes descriptors that came along. */
static int withdraw(struct broker *broker, const struct intake_request *request, const struct notify *notify,
	struct refusal *refusal)
{
	const struct withdrawal withdrawal = {.sender = &request->identity, .name = notify->name};
	size_t n = 0;

	return withdrawal_perform(broker, &withdrawal, &n, refusal);
}

static bool on_request(struct intake_request *request, const struct notify *notify, void *userdata)
{
	struct usherd *usherd = userdata;
	struct refusal refusal;
	int r;

	if (notify->action == NOTIFY_STORE) {
		r = store(usherd, request, notify, &refusal);
		if (r)
			conclude(usherd, request, notify->name, r, &refusal);
		return r;
	}
	r = withdraw(&usherd->broker, request, notify, &refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "internal error of the broker (%s)", errno_name(-r));
	if (r)
		request_report_refusal(&request->identity, "FDSTOREREMOVE=1", notify->name, &refusal);
	return true;
}

static bool on_admit(const struct intake_request *request, const struct notify *notify, void *userdata)
{
	struct usherd *usherd = userdata;
	const struct broker *broker = &usherd->broker;
	const struct rule *rule;
	struct refusal refusal;
	int r;

	r = named_rule_find(broker, notify->name, &rule, &refusal);
	if (!r)
		r = naming_admits(broker, rule, &request->identity, &refusal);
	if (r)
		conclude(usherd, request, notify->name, r, &refusal);
	return !r;
}

static void on_cancel(struct intake_request *request, void *userdata)
{
	const struct usherd *usherd = userdata;
	struct storing *storing = usherd->storings;

	while (storing && storing->request != request)
		storing = storing->next;
	if (!storing)
		return;
	lookup_cancel(storing->wait);
	if (storing->hand_in)
		hand_in_cancel(storing->hand_in);
	storing_free(storing);
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
	const struct notify_handlers handlers = {.admit = on_admit,
		.request = on_request,
		.refused = on_refused,
		.cancel = on_cancel,
		.userdata = usherd};

	return notify_door_new(usherd->broker.event, &usherd->staff, passed_consume,
		usherd->broker.instance->notify, &handlers, &usherd->notify_door);
}
