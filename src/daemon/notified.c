/* SPDX-License-Identifier: BSD-3-Clause */
#include "notified.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "hand_in.h"
#include "place.h"
#include "request.h"

/* The request in the words of usher.sock, so that both doors come to the same place. */
static void name_request(struct intake_request *request, struct message *message, const char *name)
{
	*message = (struct message){.n_fields = 1, .fields = {{.key = KEY_NAME, .value = name}}};
	request->message = message;
}

/* A held socket that was shut down, or has an error pending, is of no use to anybody. */
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

static int store(struct broker *broker, struct intake_request *request, const struct notify *notify,
	struct refusal *refusal)
{
	const struct hand_in_manner manner = {.via = USHER_VIA_NOTIFY, .hold = true};
	struct writer answer = WRITER_NULL;
	int r;

	r = hand_in(broker, request, &manner, &answer, refusal);
	if (!r && notify->poll)
		watch(broker, request, notify->name);
	return r;
}

/* As in the service manager's store, everything of that name goes; descriptors that came along are closed. */
static int withdraw(struct broker *broker, struct intake_request *request, struct refusal *refusal)
{
	struct intake_request all = *request;
	struct writer answer = WRITER_NULL;

	all.n_fds = 0;
	return request_withdraw(broker, &all, &answer, refusal);
}

static void on_request(struct intake_request *request, const struct notify *notify, void *userdata)
{
	struct broker *broker = userdata;
	struct refusal refusal;
	struct message message;
	int r;

	name_request(request, &message, notify->name);
	intake_identify(request);
	r = notify->action == NOTIFY_STORE ? store(broker, request, notify, &refusal)
					   : withdraw(broker, request, &refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "the broker could not do it (%s)", errno_name(-r));
	if (notify->action == NOTIFY_STORE) {
		request_count_hand_in(broker, request, r ? &refusal : NULL);
		tally_hand_in_time(intake_now() - request->received, &broker->tally);
	}
	if (r)
		request_report_refusal(&request->identity,
			notify->action == NOTIFY_STORE ? "FDSTORE=1" : "FDSTOREREMOVE=1", notify->name,
			&refusal);
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

int notified_open(struct broker *broker, int passed_consume)
{
	const struct notify_handlers handlers = {
		.request = on_request, .refused = on_refused, .userdata = broker};

	return notify_door_new(
		broker->event, passed_consume, broker->instance->notify, &handlers, &broker->notify_door);
}
