/* SPDX-License-Identifier: BSD-3-Clause */

/* The requests withdraw and evict: they take out sockets that were handed in or let in. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/early.h"
#include "../broker/withdrawal.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "../util/transport.h"
#include "request.h"

static int read_cookies(const struct intake_request *request, uint64_t *ret, struct refusal *refusal)
{
	for (size_t i = 0; i < request->n_fds; i++) {
		const struct sight *sight = &request->parcel->sights[i];

		if (sight->cookie_error)
			return refuse(refusal, sight->cookie_error,
				"descriptor %zu is not a socket (%s); send sockets that were handed in",
				i + 1, errno_name(sight->cookie_error));
		ret[i] = sight->facts.cookie;
	}
	return 0;
}

static int read_transport(
	const struct message *message, struct withdrawal *withdrawal, struct refusal *refusal)
{
	const char *protocol = message_get(message, KEY_PROTOCOL), *family = message_get(message, KEY_FAMILY);
	uint8_t number = 0;

	if (protocol && !protocol_from_word(protocol, &number))
		return refuse(refusal, EINVAL,
			"'%.32s' is not a protocol (EINVAL); send PROTOCOL=tcp or PROTOCOL=udp", protocol);
	if (family && !family_from_word(family, &withdrawal->family))
		return refuse(refusal, EINVAL,
			"'%.32s' is not an address family (EINVAL); send FAMILY=ipv4 or FAMILY=ipv6", family);
	withdrawal->protocol = number;
	return 0;
}

/* An answer that waits until what was held is closed: the client may want to bind its address again */
struct settling {
	struct session *session;
	struct sweeper_skip *skip;
	struct writer packet;
};

static void on_settled(bool settled, void *userdata)
{
	struct settling *settling = userdata;
	struct session *session = settling->session;

	(void)settled;
	session_answer(session, &settling->packet);
	free(settling);
	session_resume(session);
}

static void on_cancel(void *userdata)
{
	struct settling *settling = userdata;

	sweeper_cancel(settling->skip);
	free(settling);
}

int request_withdraw(struct broker *broker, struct session *session, const struct intake_request *request,
	struct refusal *refusal)
{
	_cleanup_free_ struct settling *settling = calloc(1, sizeof(*settling));
	uint64_t cookies[PACKET_FDS_MAX];
	struct withdrawal withdrawal = {
		.sender = &request->identity,
		.name = message_get(request->message, KEY_NAME),
		.cookies = request->n_fds ? cookies : NULL,
		.n = request->n_fds,
	};
	size_t n = 0;
	int r;

	if (!settling)
		return -ENOMEM;
	if (!withdrawal.name)
		return refuse(refusal, EINVAL, "the request has no name (EINVAL); send NAME=");
	r = read_cookies(request, cookies, refusal);
	if (!r)
		r = read_transport(request->message, &withdrawal, refusal);
	if (!r)
		r = withdrawal_perform(broker, &withdrawal, &n, refusal);
	if (r)
		return r;
	settling->session = session;
	writer_put(&settling->packet, KEY_OK, "1");
	writer_put(&settling->packet, KEY_WITHDRAWN, "%zu", n);
	settling->skip = sweeper_settle(broker->staff->sweeper, on_settled, settling);
	if (!settling->skip)
		return -ENOMEM;
	session_defer(session, on_cancel, TAKE_PTR(settling));
	return 0;
}

/* ---- evict */

int request_evict(
	struct broker *broker, const struct message *message, struct writer *answer, struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME), *cookie = message_get(message, KEY_COOKIE),
		   *reason = message_get(message, KEY_REASON);
	uint64_t value;

	if (!name || !cookie || text_to_cookie(cookie, &value) < 0)
		return refuse(refusal, EINVAL,
			"the request does not say which socket of which name (EINVAL); send NAME= and COOKIE=, in hexadecimal as in the answer to list");
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_EVICTED, "%u",
		early_evict(broker, name, value, reason ? reason : "no reason was given"));
	return 0;
}
