/* SPDX-License-Identifier: BSD-3-Clause */

/* The requests hand-in and hold: what the packet says becomes an offer. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/hand_in.h"
#include "../intake/owner.h"
#include "../util/macro.h"
#include "../wire/names.h"
#include "../wire/protocol.h"
#include "request.h"

/* Only the broker itself sets the other two values. */
static enum usher_via read_via(const struct message *message)
{
	enum via via = VIA_CLIENT;

	(void)via_from_word(message_get(message, KEY_VIA), &via);
	return via == VIA_NOTIFY || via == VIA_SYSTEMD ? USHER_VIA_CLIENT : (enum usher_via)via;
}

/* What the broker works on while a worker has the sockets */
struct pending {
	struct usherd *usherd;
	struct session *session;
	struct intake_request *request; /* the session's */
	struct owner owner;
	struct offer_socket sockets[PROTOCOL_HAND_IN_MAX];
	struct offer_request offer;
	struct hand_in *hand_in;
};

static void pending_free(struct pending *pending)
{
	owner_deinit(&pending->owner);
	free(pending);
}

static void pending_freep(struct pending **pending)
{
	if (*pending)
		pending_free(*pending);
}

/* Identifies the process that has the sockets open. Its pidfd is the last descriptor, which leaves the request. */
static int take_owner(struct intake_request *request, const struct offer_request *offer, struct owner *ret,
	struct refusal *refusal)
{
	const char *owner = message_get(request->message, KEY_OWNER);

	if (strcmp(owner, OWNER_PIDFD) != 0)
		return refuse(refusal, EINVAL,
			"OWNER=%s is not known (EINVAL); write OWNER=pidfd and send a pidfd as the last descriptor",
			owner);
	if (offer->via != USHER_VIA_DISCOVERED)
		return refuse(refusal, EINVAL,
			"OWNER= requires VIA=discover (EINVAL); a process must hand in its own sockets itself");
	if (offer->hold)
		return refuse(refusal, EINVAL,
			"OWNER= cannot be combined with 'hold' (EINVAL); use 'hand-in', because a discovered socket ends with its process");
	if (request->n_fds < 2)
		return refuse(refusal, EINVAL,
			"%zu descriptors came with OWNER=pidfd (EINVAL); send the listening sockets and, after them, the pidfd of the process that has them open",
			request->n_fds);
	request->n_fds--;
	return owner_take(&request->parcel->owner, ret, refusal);
}

int request_check_sockets(size_t n, struct refusal *refusal)
{
	if (!n)
		return refuse(refusal, EINVAL,
			"no socket came with the request (EINVAL); send the listening sockets with SCM_RIGHTS");
	if (n > PROTOCOL_HAND_IN_MAX)
		return refuse(refusal, E2BIG,
			"%zu sockets came in one request, which takes at most %u (E2BIG); send several requests",
			n, PROTOCOL_HAND_IN_MAX);
	return 0;
}

static int name_sockets(
	const struct intake_request *request, struct offer_socket *sockets, struct refusal *refusal)
{
	const char *numbers = message_get(request->message, KEY_FDS);
	struct names names;
	int r = request_check_sockets(request->n_fds, refusal);

	if (!r)
		r = names_read(request->message, request->n_fds, &names, refusal);
	for (size_t i = 0; !r && i < request->n_fds; i++) {
		/* the client's own number of a socket, which only refusals show */
		sockets[i].number = names_next_number(&numbers, i + 1);
		strcpy(sockets[i].name, names.items[names.n == 1 ? 0 : i]);
	}
	return r;
}

static void on_done(
	int result, const struct hand_in_outcome *outcome, const struct refusal *refusal, void *userdata)
{
	struct pending *pending = userdata;
	struct session *session = pending->session;
	struct writer packet = WRITER_NULL;

	if (!result) {
		writer_put(&packet, KEY_OK, "1");
		writer_put(&packet, KEY_ADDED, "%zu", outcome->added);
		writer_put(&packet, KEY_KEPT, "%zu", outcome->kept);
		session_answer(session, &packet);
	}
	request_conclude_hand_in(pending->usherd, session, pending->request, result, refusal);
	pending_free(pending);
	session_resume(session);
}

static void on_cancel(void *userdata)
{
	struct pending *pending = userdata;

	hand_in_cancel(pending->hand_in);
	pending_free(pending);
}

int request_hand_in(struct usherd *usherd, struct session *session, struct intake_request *request, bool hold,
	struct refusal *refusal)
{
	_cleanup_(pending_freep) struct pending *pending = calloc(1, sizeof(*pending));
	struct offer_request *offer;
	int r = 0;

	if (!pending)
		return -ENOMEM;
	pending->usherd = usherd;
	pending->session = session;
	pending->request = request;
	pending->owner = OWNER_NULL;
	offer = &pending->offer;
	*offer = (struct offer_request){
		.owner = &request->identity,
		.pidfd = request->pidfd,
		.found = message_get(request->message, KEY_OWNER),
		.via = read_via(request->message),
		.hold = hold,
		.parcel = request->parcel,
		.sockets = pending->sockets,
	};
	if (offer->found) {
		r = take_owner(request, offer, &pending->owner, refusal);
		offer->owner = &pending->owner.identity;
		offer->pidfd = pending->owner.pidfd;
	}
	if (!r)
		r = name_sockets(request, pending->sockets, refusal);
	offer->n = request->n_fds;
	if (!r)
		r = hand_in_begin(&usherd->broker, offer, &request->parcel, on_done, pending,
			&pending->hand_in, refusal);
	if (r)
		return r;
	session_defer(session, on_cancel, TAKE_PTR(pending));
	return 0;
}
