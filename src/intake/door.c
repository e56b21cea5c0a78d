/* SPDX-License-Identifier: BSD-3-Clause */
#include "door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "../util/clock.h"
#include "../wire/packet.h"
#include "arrivals.h"
#include "local_socket.h"
#include "quota.h"

#define PAUSE_USEC 200000
#define BEGIN_USEC                                                                                           \
	2000 /* requests that were sent already are answered for so long before others get their turn */
#define FINISH_STEP_MS 2U
#define FINISH_ACCURACY_USEC 1 /* 0 would be 250 ms, for each step */

struct door {
	sd_event *event; /* borrowed */
	sd_event_source *io;
	sd_event_source *resume;
	sd_event_source *finish;
	unsigned finish_steps;
	int socket;
	struct local_socket_path path;
	struct turns *turns;
	struct session **sessions; /* each knows its number */
	size_t n_sessions;
	const struct staff *staff; /* borrowed */
	int (*admit)(struct session *session, const struct intake_request *request, struct refusal *refusal,
		void *userdata);
	struct quota quota;
	void (*handler)(struct session *session, struct intake_request *request, void *userdata);
	void *userdata;
};

static int on_admit(struct session *session, const struct intake_request *request, struct refusal *refusal,
	void *userdata)
{
	struct door *door = userdata;

	return door->admit(session, request, refusal, door->userdata);
}

static void on_request(struct session *session, struct intake_request *request, void *userdata)
{
	struct door *door = userdata;

	door->handler(session, request, door->userdata);
}

static void on_end(struct session *session, void *userdata)
{
	struct door *door = userdata;

	size_t number = session_number(session);
	struct session *last = door->sessions[--door->n_sessions];

	door->sessions[number] = last;
	session_set_number(last, number);
	quota_remove(&door->quota, session_uid(session));
}

/* The session on which nothing was sent or received for the longest time, of the users with most sessions. */
static struct session *find_idlest(const struct door *door)
{
	size_t most = quota_most(&door->quota);
	struct session *idlest = NULL;

	for (size_t i = 0; i < door->n_sessions; i++) {
		struct session *session = door->sessions[i];

		if (session_uid(session) && (!idlest || session_active(session) < session_active(idlest)) &&
			quota_count(&door->quota, session_uid(session)) == most)
			idlest = session;
	}
	return idlest;
}

/* Return: whether there is room now for one more session of a user who has so many. */
static bool make_room(struct door *door, size_t n)
{
	struct refusal refusal;
	struct session *idlest;

	if (door->quota.n < DOOR_SESSIONS_MAX)
		return true;
	if (quota_most(&door->quota) <= n)
		return false;
	idlest = find_idlest(door);
	if (!idlest)
		return false;
	(void)refuse(&refusal, EUSERS,
		"the broker has %u connections open, the most it takes, and needs this one, which was idle, for another user (EUSERS); connect again",
		DOOR_SESSIONS_MAX);
	session_evict(idlest, &refusal);
	return true;
}

static int check_quota(struct door *door, uid_t uid, struct refusal *refusal)
{
	size_t same = quota_count(&door->quota, uid);

	if (uid == 0)
		return 0;
	if (same >= DOOR_SESSIONS_PER_UID)
		return refuse(refusal, EUSERS,
			"uid %u has %u connections to the broker open, the most it may have (EUSERS); close some",
			uid, DOOR_SESSIONS_PER_UID);
	if (!make_room(door, same))
		return refuse(refusal, EUSERS,
			"the broker has %u connections open, the most it takes (EUSERS); try again",
			DOOR_SESSIONS_MAX);
	return 0;
}

/* Sends a client the reason why it is not let in, if that is possible without waiting. */
static void turn_away(int fd, const struct refusal *refusal)
{
	struct writer packet = WRITER_NULL;

	writer_put(&packet, KEY_ERRNO, "%d", refusal->error);
	writer_put(&packet, KEY_REASON, "%s", refusal->text);
	(void)packet_send(fd, packet.text, packet.size, NULL, 0);
}

/* Takes the descriptor over for a session, or leaves it to the caller. */
static int let_in(struct door *door, struct arrival *arrival, uint64_t until)
{
	const struct session_handlers handlers = {
		.admit = on_admit,
		.request = on_request,
		.end = on_end,
		.turns = door->turns,
		.tenant = arrival->owner,
		.userdata = door,
	};
	struct session *session;
	struct refusal refusal;
	int r;

	if (arrival->has_left)
		return 0;
	if (check_quota(door, arrival->uid, &refusal)) {
		turn_away(arrival->fd, &refusal);
		return 0;
	}
	if (ARRAY_RESERVE(door->sessions, door->n_sessions) < 0 || quota_add(&door->quota, arrival->uid) < 0)
		return -ENOMEM;
	r = session_new_consume_fd(door->event, door->staff, TAKE_FD(arrival->fd), &handlers, &session);
	if (r < 0) {
		quota_remove(&door->quota, arrival->uid);
		return r;
	}
	session_set_number(session, door->n_sessions);
	door->sessions[door->n_sessions++] = session;
	if (clock_monotonic_usec() < until)
		session_begin(session);
	return 0;
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct door *door = userdata;

	(void)source;
	(void)usec;
	return sd_event_source_set_enabled(door->io, SD_EVENT_ON);
}

static int on_connection(sd_event_source *source, int socket, uint32_t revents, void *userdata)
{
	struct door *door = userdata;
	uint64_t until = clock_monotonic_usec() + BEGIN_USEC;
	struct arrivals arrivals;

	(void)revents;
	arrivals_accept(socket, &door->quota.subuids, &arrivals);
	for (size_t i = 0; i < arrivals.n; i++) {
		struct arrival *arrival = &arrivals.items[i];

		/* an error ends this client only */
		(void)let_in(door, arrival, until);
		if (arrival->fd >= 0)
			sweeper_hang_up_consume(door->staff->sweeper, arrival->fd, false);
	}
	if (arrivals.error != EMFILE && arrivals.error != ENFILE && arrivals.error != ENOBUFS &&
		arrivals.error != ENOMEM)
		return 0;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	(void)sd_event_source_set_time_relative(door->resume, PAUSE_USEC);
	return sd_event_source_set_enabled(door->resume, SD_EVENT_ONESHOT);
}

static bool is_quiet(const struct door *door)
{
	for (size_t i = 0; i < door->n_sessions; i++)
		if (session_is_fresh(door->sessions[i]) || !session_has_answered(door->sessions[i]))
			return false;
	return true;
}

static int on_finish(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct door *door = userdata;
	int r;

	(void)usec;
	if (is_quiet(door) || door->finish_steps++ >= DOOR_FINISH_MS / FINISH_STEP_MS)
		return sd_event_exit(door->event, 0);
	r = sd_event_source_set_time_relative(source, FINISH_STEP_MS * 1000);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int door_finish(struct door *door)
{
	int r;

	(void)sd_event_source_set_enabled(door->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(door->resume, SD_EVENT_OFF);
	if (door->finish)
		return 0;
	/* one step later, so that packets that have been sent by now are read */
	r = sd_event_add_time_relative(door->event, &door->finish, CLOCK_MONOTONIC, FINISH_STEP_MS * 1000,
		FINISH_ACCURACY_USEC, on_finish, door);
	return r < 0 ? r : 0;
}

int door_new(sd_event *event, const struct staff *staff, int passed_consume, const char *path,
	int (*admit)(struct session *session, const struct intake_request *request, struct refusal *refusal,
		void *userdata),
	void (*handler)(struct session *session, struct intake_request *request, void *userdata),
	void *userdata, struct door **ret)
{
	_cleanup_(door_freep) struct door *door = calloc(1, sizeof(*door));
	int r;

	if (!door) {
		closep(&passed_consume);
		return -ENOMEM;
	}
	door->event = event;
	door->staff = staff;
	door->admit = admit;
	door->handler = handler;
	door->userdata = userdata;
	(void)door_read_owners(door);
	door->socket = -1;
	r = turns_new(event, &door->turns);
	if (r < 0) {
		closep(&passed_consume);
		return r;
	}
	door->socket = local_socket_consume(passed_consume, SOCK_SEQPACKET, path, &door->path);
	if (door->socket < 0)
		return door->socket;
	r = sd_event_add_io(event, &door->io, door->socket, EPOLLIN, on_connection, door);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &door->resume, CLOCK_MONOTONIC, 0, 0, on_resume, door);
	if (r >= 0)
		r = sd_event_source_set_enabled(door->resume, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(door);
	return 0;
}

int door_read_owners(struct door *door)
{
	int r;

	quota_clear(&door->quota);
	r = quota_read_owners(&door->quota);
	for (size_t i = 0; i < door->n_sessions; i++)
		if (quota_add(&door->quota, session_uid(door->sessions[i])) < 0)
			r = -ENOMEM;
	return r;
}

size_t door_count(const struct door *door)
{
	return door->n_sessions;
}

struct door *door_free(struct door *door)
{
	if (!door)
		return NULL;
	while (door->n_sessions)
		session_free(door->sessions[--door->n_sessions]);
	free(door->sessions);
	quota_deinit(&door->quota);
	turns_free(door->turns);
	sd_event_source_disable_unref(door->io);
	sd_event_source_disable_unref(door->resume);
	sd_event_source_disable_unref(door->finish);
	sweeper_close_consume(door->staff->sweeper, door->socket, false);
	local_socket_remove(&door->path);
	free(door);
	return NULL;
}
