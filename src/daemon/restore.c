/* SPDX-License-Identifier: BSD-3-Clause */
#include "restore.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../broker/hand_in.h"
#include "../broker/reap.h"
#include "../holder/store.h"
#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "../worker/staff.h"

/* Something that is waited for, while requests are handled */
struct step {
	bool over;
	int result;
	struct refusal *refusal;
};

static void on_parcel(struct parcel *parcel, void *userdata)
{
	struct step *step = userdata;

	*step->refusal = parcel->refusal;
	step->result = parcel->result;
	step->over = true;
}

static void on_done(
	int result, const struct hand_in_outcome *outcome, const struct refusal *refusal, void *userdata)
{
	struct step *step = userdata;

	(void)outcome;
	if (refusal)
		*step->refusal = *refusal;
	step->result = result;
	step->over = true;
}

static int wait_for(sd_event *event, const struct step *step)
{
	int r = 0;

	while (!step->over && r >= 0)
		r = sd_event_run(event, UINT64_MAX);
	return step->over ? step->result : r;
}

static int hand_in_parcel(struct broker *broker, const struct offer_request *request, struct parcel **parcel,
	struct refusal *refusal)
{
	struct step step = {.refusal = refusal};
	struct hand_in *hand_in;
	int r = hand_in_begin(broker, request, parcel, on_done, &step, &hand_in, refusal);

	if (r)
		return r;
	r = wait_for(broker->event, &step);
	if (!step.over)
		hand_in_cancel(hand_in);
	return r;
}

/* No client sent these. The administrator configured the service manager to pass them, so root may. */
static int hand_in_passed(struct broker *broker, const char *name, int fd, bool hold, struct refusal *refusal)
{
	const struct identity manager = {.unit = ""};
	struct offer_socket socket = {.number = 1};
	struct offer_request request = {
		.owner = &manager,
		.pidfd = -1,
		.via = USHER_VIA_SYSTEMD,
		.hold = hold,
		.sockets = &socket,
		.n = 1,
	};
	struct step step = {.refusal = refusal};
	struct parcel *parcel = NULL;
	int r;

	(void)snprintf(socket.name, sizeof(socket.name), "%.*s", NAME_LENGTH_MAX + 1, name);
	r = parcel_take(broker->staff->crew, &fd, 1, broker->netns_cookie, on_parcel, &step, &parcel);
	if (!r)
		r = wait_for(broker->event, &step);
	request.parcel = parcel;
	if (!r)
		r = hand_in_parcel(broker, &request, &parcel, refusal);
	parcel_release(parcel, NULL, NULL);
	return r < 0 ? refuse(refusal, -r, "internal error of the broker (%s)", errno_name(-r)) : r;
}

static void report_refusal(const char *name, const struct refusal *refusal)
{
	const struct observed about = {.name = name, .reason = refusal->text, .error = refusal->error};

	observe(OBSERVE_REFUSED, &about,
		"a socket that the service manager passed as '%s' is not handed in: %s", name, refusal->text);
}

/* No rule leads to it, and clients of another service would wait at it. */
static void report_local(const struct passed_socket *socket)
{
	const struct observed about = {
		.name = socket->name, .reason = "it is a Unix socket", .error = EAFNOSUPPORT};

	observe(OBSERVE_REFUSED, &about,
		"the service manager passed a Unix socket at '%s' as '%s', which the broker has no use for (EAFNOSUPPORT); remove its unit from Sockets= of usherd.service, or that line from the unit",
		socket->path, socket->name);
}

static void restore_consume(struct broker *broker, const char *name, uint64_t stored_cookie, int fd_given)
{
	_cleanup_close_ int fd = fd_given;
	struct registry_place place;
	struct refusal refusal;
	socklen_t size = sizeof(uint64_t);
	uint32_t seat = 0;
	uint64_t cookie;
	bool there;
	pid_t pid = 0;
	int copy;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0 || cookie != stored_cookie) {
		store_remove(name, stored_cookie);
		return; /* not the socket that was stored under this name: each boot makes new cookies */
	}
	there = registry_next_place(&broker->registry, name, cookie, &seat, &place);
	if (there && registrants_watch_pid(broker->registrants, (pid_t)place.data.pid, place.data.uid) == 0 &&
		registrants_is_watched(broker->registrants, (pid_t)place.data.pid))
		pid = (pid_t)place.data.pid;
	copy = TAKE_FD(fd);
	if (holder_restore_consume(broker->holder, name, cookie, copy, pid) < 0)
		return;
	if (!there && hand_in_passed(broker, name, copy, true, &refusal))
		report_refusal(name, &refusal);
	else
		observe(OBSERVE_RESTORED, &(struct observed){.name = name, .cookie = cookie},
			"'%s': a held socket is back from the service manager%s", name,
			there ? "" : ", and serves again");
}

/* Without a store, what an earlier broker held is not held any more; and what it let go of has closed with it. */
static void unmark_lost(struct broker *broker)
{
	registry_foreach_seat (&broker->registry, seat) {
		const char *name = broker->registry.seats[seat].name;

		registry_foreach_socket (&broker->registry, seat, walk) {
			uint8_t lost = USHER_PLACE_RELEASED;
			struct registry_place place;

			registry_walk_read(&broker->registry, &walk, &place);
			if (!holder_find(broker->holder, name, walk.cookie))
				lost |= USHER_PLACE_HELD;
			if (!(place.data.flags & lost))
				continue;
			place.data.flags &= (uint8_t)~lost;
			(void)registry_write_place(&broker->registry, &place);
		}
	}
}

void restore_passed(struct broker *broker, struct passed *passed)
{
	char name[NAME_LENGTH_MAX + 1];
	struct refusal refusal;
	uint64_t cookie;

	/* the store returns the newest socket first (measured with systemd 252 and 257) */
	for (size_t i = passed->n_sockets; i-- > 0;)
		if (!passed->sockets[i].local && store_parse_name(passed->sockets[i].name, name, &cookie))
			restore_consume(broker, name, cookie, TAKE_FD(passed->sockets[i].fd));
	for (size_t i = passed->n_sockets; i-- > 0;) {
		const struct passed_socket *socket = &passed->sockets[i];

		if (socket->local)
			report_local(socket);
		else if (socket->fd >= 0 && hand_in_passed(broker, socket->name, socket->fd, false, &refusal))
			report_refusal(socket->name, &refusal);
	}
	unmark_lost(broker);
	reap_soon(broker); /* orphans may be among them */
}
