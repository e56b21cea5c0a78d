/* SPDX-License-Identifier: BSD-3-Clause */
#include "crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../util/clock.h"
#include "crew_worker.h"
#include "nursery.h"

#define RETRY_USEC 200000
#define TICK_USEC 250000

struct crew {
	sd_event *event; /* borrowed */
	int nursery;
	sd_event_source *nursery_io, *retry, *clock;
	bool ticking;
	struct crew_worker_handlers handlers;
	struct crew_worker *workers; /* in the order in which the nursery was asked for them */
	struct crew_user *waiting;
	bool started;
};

static void dispatch(struct crew *crew);

int crew_refuse_stuck(uid_t uid, struct refusal *refusal)
{
	if (uid == CREW_UID_FOUND)
		return refuse(refusal, EUSERS,
			"sockets that usher-discover found keep %u processes of the broker waiting (EUSERS); end what holds them up",
			CREW_STUCK_MAX);
	return refuse(refusal, EUSERS,
		"descriptors that uid %u sent keep %u processes of the broker waiting (EUSERS); end what holds them up: a file system that does not answer, or a socket that is kept busy",
		uid, CREW_STUCK_MAX);
}

static void retry_later(struct crew *crew)
{
	(void)sd_event_source_set_time_relative(crew->retry, RETRY_USEC);
	(void)sd_event_source_set_enabled(crew->retry, SD_EVENT_ONESHOT);
}

static void unlink_worker(struct crew *crew, struct crew_worker *worker)
{
	struct crew_worker **at = &crew->workers;

	while (*at != worker)
		at = &(*at)->next;
	*at = worker->next;
}

/* ---- the end of a worker */

/* Nobody waits for a worker that there will not be. */
static void fail_waiting(struct crew *crew, uid_t uid)
{
	struct crew_user **at = &crew->waiting;
	struct refusal refusal;

	(void)crew_refuse_stuck(uid, &refusal);
	while (*at) {
		struct crew_user *user = *at;

		if (user->uid != uid) {
			at = &user->next;
			continue;
		}
		*at = user->next;
		user->failed(user, &refusal);
		user->gone(user);
		at = &crew->waiting; /* the list may be another one now */
	}
}

static void on_doomed(struct crew_worker *worker, void *userdata)
{
	struct crew *crew = userdata;

	if (worker->bound && crew_is_stuck(crew, worker->uid))
		fail_waiting(crew, worker->uid);
}

/* It does nothing any more. */
static void bury_worker(struct crew_worker *worker, void *userdata)
{
	struct crew_user *user = worker->user;
	struct crew *crew = userdata;
	bool served = worker->bound;

	unlink_worker(crew, worker);
	crew_worker_free(worker);
	if (user) {
		user->worker = NULL;
		user->gone(user);
	}
	/* where none can live, they are not made in an endless loop */
	if (served)
		dispatch(crew);
	else
		retry_later(crew);
}

/* One clock for all, which runs while there is work: a timer for each step would cost more than the step. */
static void start_clock(void *userdata)
{
	struct crew *crew = userdata;

	if (crew->ticking)
		return;
	crew->ticking = true;
	(void)sd_event_source_set_time_relative(crew->clock, TICK_USEC);
	(void)sd_event_source_set_enabled(crew->clock, SD_EVENT_ONESHOT);
}

static struct crew_worker *find_late(const struct crew *crew, uint64_t now)
{
	struct crew_worker *worker = crew->workers;

	while (worker && (!worker->deadline || worker->deadline > now))
		worker = worker->next;
	return worker;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	const uint64_t now = clock_monotonic_usec();
	struct crew *crew = userdata;
	struct crew_worker *worker;

	(void)source;
	(void)usec;
	crew->ticking = false;
	/* the list may be another one after each */
	while ((worker = find_late(crew, now)))
		crew_worker_doom_late(worker);
	if (find_late(crew, UINT64_MAX))
		start_clock(crew);
	return 0;
}

/* ---- hiring */

static struct crew_worker *hire(struct crew *crew)
{
	struct crew_worker *worker = crew_worker_hire(crew->event, crew->nursery, &crew->handlers);
	struct crew_worker **at = &crew->workers;

	if (!worker)
		return NULL;
	while (*at)
		at = &(*at)->next;
	*at = worker;
	return worker;
}

static int on_nursery(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct crew *crew = userdata;
	struct crew_worker *worker = crew->workers;
	struct refusal refusal;
	int r = packet_receive(fd, &packet, &refusal);

	(void)revents;
	if (r == PACKET_AGAIN)
		return 0;
	/* nobody can be served without it: the service manager starts the broker anew, and dispatch goes on */
	if (r != 0)
		return sd_event_exit(sd_event_source_get_event(source), -ECHILD);
	while (worker && worker->pidfd >= 0)
		worker = worker->next;
	if (!worker)
		return 0;
	crew_worker_adopt_consume(worker, crew->event, packet.n_fds ? TAKE_FD(packet.fds[0]) : -1);
	return 0;
}

/* ---- who gets which */

/* Those that are to end are not counted: a uid that has many of them keeps none from others. */
static size_t count(const struct crew *crew, bool idle)
{
	size_t n = 0;

	for (const struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		n += !worker->doomed && (!idle || !worker->user);
	return n;
}

static struct crew_worker *find_idle(const struct crew *crew, bool bound, uid_t uid)
{
	struct crew_worker *worker = crew->workers;

	while (worker &&
		(worker->user || worker->doomed || worker->bound != bound || (bound && worker->uid != uid)))
		worker = worker->next;
	return worker;
}

static size_t count_hurried(const struct crew *crew)
{
	size_t n = 0;

	for (const struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		n += worker->user && !worker->doomed && worker->user->hurried;
	return n;
}

/* The workers of a uid */
struct shift {
	unsigned busy, doomed;
	uint64_t deadline; /* the first one of those that are busy, or UINT64_MAX */
};

static struct shift count_shift(const struct crew *crew, uid_t uid)
{
	struct shift shift = {.deadline = UINT64_MAX};

	for (const struct crew_worker *worker = crew->workers; worker; worker = worker->next) {
		if (!worker->bound || worker->uid != uid)
			continue;
		shift.doomed += worker->doomed;
		shift.busy += worker->user && !worker->doomed;
		if (worker->user && worker->deadline && worker->deadline < shift.deadline)
			shift.deadline = worker->deadline;
	}
	return shift;
}

static bool is_at_most(const struct crew *crew, const struct shift *shift)
{
	return shift->busy + shift->doomed >= CREW_STUCK_MAX || count_hurried(crew) >= CREW_HURRIED_MAX;
}

static bool has_turn(const struct crew *crew, const struct crew_user *user)
{
	const struct shift shift = count_shift(crew, user->uid);

	return user->hurried ? !is_at_most(crew, &shift) : !shift.busy;
}

/* The oldest that has nothing to do ends by itself when its channel closes. */
static bool dismiss_one(struct crew *crew)
{
	for (struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		if (worker->bound && !worker->user && !worker->doomed && worker->pidfd >= 0) {
			unlink_worker(crew, worker);
			crew_worker_free(worker);
			return true;
		}
	return false;
}

static struct crew_worker *find_worker(struct crew *crew, uid_t uid)
{
	struct crew_worker *worker = find_idle(crew, true, uid);

	if (!worker)
		worker = find_idle(crew, false, uid);
	if (worker || (count(crew, false) >= CREW_MAX && !dismiss_one(crew)))
		return worker;
	return hire(crew);
}

static void dispatch(struct crew *crew)
{
	struct crew_user **at = &crew->waiting;
	bool missing = false;

	while (crew->started && *at) {
		struct crew_user *user = *at;
		bool turn = has_turn(crew, user);
		struct crew_worker *worker = turn ? find_worker(crew, user->uid) : NULL;

		if (!worker) {
			missing |= turn;
			at = &user->next;
			continue;
		}
		*at = user->next;
		worker->bound = true;
		worker->uid = user->uid;
		worker->user = user;
		user->worker = worker;
		user->ready(user);
	}
	while (count(crew, true) > CREW_IDLE_MAX && dismiss_one(crew))
		continue;
	/* the next uid does not wait for fork(2) */
	if (crew->started && !find_idle(crew, false, 0) && count(crew, false) < CREW_MAX)
		missing |= !hire(crew);
	if (missing)
		retry_later(crew);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	dispatch(userdata);
	return 0;
}

bool crew_is_stuck(const struct crew *crew, uid_t uid)
{
	return count_shift(crew, uid).doomed >= CREW_STUCK_MAX;
}

uint64_t crew_busy_usec(const struct crew *crew, uid_t uid)
{
	const struct shift shift = count_shift(crew, uid);
	const uint64_t start = shift.deadline - CREW_PATIENCE_MS * 1000ULL, now = clock_monotonic_usec();

	if (shift.deadline == UINT64_MAX || !is_at_most(crew, &shift) || start > now)
		return 0;
	return now - start;
}

void crew_join(struct crew *crew, struct crew_user *user)
{
	struct crew_user **at = &crew->waiting;

	while (*at)
		at = &(*at)->next;
	*at = user;
	user->next = NULL;
	dispatch(crew);
}

void crew_leave(struct crew *crew, struct crew_user *user)
{
	struct crew_user **at = &crew->waiting;

	if (user->worker) {
		user->worker->user = NULL;
		user->worker = NULL;
		dispatch(crew);
		return;
	}
	while (*at && *at != user)
		at = &(*at)->next;
	if (*at)
		*at = user->next;
}

int crew_send(struct crew_user *user, const struct work *work, const int *fds, size_t n_fds)
{
	return crew_worker_send(user->worker, work, fds, n_fds);
}

/* ---- begin and end */

int crew_new(sd_event *event, int nursery, struct crew **ret)
{
	_cleanup_(crew_freep) struct crew *crew = calloc(1, sizeof(*crew));
	int r;

	if (!crew) {
		(void)close(nursery);
		return -ENOMEM;
	}
	crew->event = event;
	crew->nursery = nursery;
	crew->handlers = (struct crew_worker_handlers){
		.begun = start_clock, .doomed = on_doomed, .ended = bury_worker, .userdata = crew};
	r = sd_event_add_io(event, &crew->nursery_io, nursery, EPOLLIN, on_nursery, crew);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &crew->retry, CLOCK_MONOTONIC, 0, 0, on_retry, crew);
	if (r >= 0)
		r = sd_event_source_set_enabled(crew->retry, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			crew->event, &crew->clock, CLOCK_MONOTONIC, 0, 0, on_tick, crew);
	if (r >= 0)
		r = sd_event_source_set_enabled(crew->clock, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(crew);
	return 0;
}

int crew_start(struct crew *crew, const int *maps)
{
	int r = packet_send(crew->nursery, NURSERY_MAPS, strlen(NURSERY_MAPS), maps, WORK_MAPS);

	if (r < 0)
		return r;
	crew->started = true;
	dispatch(crew);
	return 0;
}

struct crew *crew_free(struct crew *crew)
{
	if (!crew)
		return NULL;
	crew->started = false;
	while (crew->waiting) {
		struct crew_user *user = crew->waiting;

		crew->waiting = user->next;
		user->gone(user);
	}
	/* they do what they were asked for, and end with their channel */
	while (crew->workers)
		bury_worker(crew->workers, crew);
	sd_event_source_disable_unref(crew->nursery_io);
	sd_event_source_disable_unref(crew->retry);
	sd_event_source_disable_unref(crew->clock);
	closep(&crew->nursery);
	free(crew);
	return NULL;
}
