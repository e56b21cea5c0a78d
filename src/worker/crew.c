/* SPDX-License-Identifier: BSD-3-Clause */
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../util/clock.h"
#include "nursery.h"

#define RETRY_USEC 200000
#define TICK_USEC 250000

struct crew_worker {
	struct crew *crew;
	struct crew_worker *next;
	struct crew_user *user;
	uid_t uid;
	bool bound;  /* to that uid */
	bool doomed; /* killed, as soon as there is a pidfd */
	int channel;
	int pidfd;	   /* -1 until the nursery has answered */
	uint64_t deadline; /* CLOCK_MONOTONIC, microseconds; 0 while it has nothing to do */
	sd_event_source *io, *death;
};

struct crew {
	sd_event *event; /* borrowed */
	int nursery;
	sd_event_source *nursery_io, *retry, *clock;
	bool ticking;
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

static void unlink_worker(struct crew_worker *worker)
{
	struct crew_worker **at = &worker->crew->workers;

	while (*at != worker)
		at = &(*at)->next;
	*at = worker->next;
}

static void worker_free(struct crew_worker *worker)
{
	unlink_worker(worker);
	sd_event_source_disable_unref(worker->io);
	sd_event_source_disable_unref(worker->death);
	closep(&worker->channel);
	closep(&worker->pidfd);
	free(worker);
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

static void fail(struct crew_worker *worker, const struct refusal *refusal)
{
	if (worker->doomed)
		return;
	worker->doomed = true;
	(void)sd_event_source_set_enabled(worker->io, SD_EVENT_OFF);
	worker->deadline = 0;
	if (worker->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
	if (worker->user)
		worker->user->failed(worker->user, refusal);
	if (worker->bound && crew_is_stuck(worker->crew, worker->uid))
		fail_waiting(worker->crew, worker->uid);
}

static void fail_dead(struct crew_worker *worker)
{
	struct refusal refusal;

	(void)refuse(&refusal, ECHILD,
		"the process that looks at descriptors has ended or cannot be started (ECHILD); try again");
	fail(worker, &refusal);
}

/* It does nothing any more. */
static void bury_worker(struct crew_worker *worker)
{
	struct crew_user *user = worker->user;
	struct crew *crew = worker->crew;
	bool served = worker->bound;

	worker_free(worker);
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

static int on_death(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	fail_dead(userdata);
	bury_worker(userdata);
	return 0;
}

static void fail_late(struct crew_worker *worker)
{
	struct refusal refusal;

	(void)refuse(&refusal, ETIMEDOUT,
		"the descriptors kept the process that inspects them waiting for %u s (ETIMEDOUT); send sockets that nobody keeps busy, and no files",
		CREW_PATIENCE_MS / 1000);
	fail(worker, &refusal);
}

/* One clock for all, which runs while there is work: a timer for each step would cost more than the step. */
static void start_clock(struct crew *crew)
{
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
		fail_late(worker);
	if (find_late(crew, UINT64_MAX))
		start_clock(crew);
	return 0;
}

static void set_deadline(struct crew_worker *worker)
{
	if (worker->doomed)
		return;
	worker->deadline = clock_monotonic_usec() + CREW_PATIENCE_MS * 1000ULL;
	start_clock(worker->crew);
}

/* ---- reports */

/* It says what no worker says, so somebody else has a hold of it. */
static void fail_wrong(struct crew_worker *worker)
{
	struct refusal refusal;

	(void)refuse(&refusal, EPROTO,
		"the process that looks at descriptors made a report that makes no sense (EPROTO); it is killed, try again");
	fail(worker, &refusal);
}

static void take_report(struct crew_worker *worker, struct packet *packet)
{
	struct report report = {0};

	memcpy(&report, packet->text, packet->size < sizeof(report) ? packet->size : sizeof(report));
	if (!work_report_check(&report, packet->size)) {
		fail_wrong(worker);
		return;
	}
	worker->deadline = 0;
	switch (worker->user->report(worker->user, &report, packet)) {
	case CREW_DONE:
		break;
	case CREW_MORE:
		set_deadline(worker);
		break;
	case CREW_WRONG:
		fail_wrong(worker);
		break;
	}
}

static int on_report(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct crew_worker *worker = userdata;
	struct refusal refusal;
	int r = packet_receive(fd, &packet, &refusal);

	(void)source;
	(void)revents;
	if (r == PACKET_AGAIN)
		return 0;
	if (r == PACKET_REFUSED) {
		fail(worker, &refusal);
		return 0;
	}
	if (r != 0 || !worker->user) {
		/* its end comes with the pidfd, if the nursery has sent one */
		fail_dead(worker);
		return 0;
	}
	take_report(worker, &packet);
	return 0;
}

int crew_send(struct crew_user *user, const struct work *work, const int *fds, size_t n_fds)
{
	struct crew_worker *worker = user->worker;
	size_t size = offsetof(struct work, items) + work->n_items * sizeof(*work->items);
	int r = packet_send(worker->channel, (const char *)work, size, fds, n_fds);

	/* what is not sent is not done: the deadline comes */
	if (work->kind != WORK_KEEP)
		set_deadline(worker);
	return r;
}

/* ---- hiring */

static struct crew_worker *hire(struct crew *crew)
{
	struct crew_worker *worker = calloc(1, sizeof(*worker)), **at = &crew->workers;
	int channel[2], r;

	if (!worker)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		free(worker);
		return NULL;
	}
	*worker = (struct crew_worker){.crew = crew, .channel = channel[0], .pidfd = -1};
	while (*at)
		at = &(*at)->next;
	*at = worker;
	r = fcntl(channel[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(crew->event, &worker->io, channel[0], EPOLLIN, on_report, worker);
	if (r >= 0)
		r = packet_send(crew->nursery, NURSERY_WORKER, strlen(NURSERY_WORKER), &channel[1], 1);
	(void)close(channel[1]);
	if (r >= 0)
		return worker;
	worker_free(worker);
	return NULL;
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
	if (packet.n_fds)
		worker->pidfd = TAKE_FD(packet.fds[0]);
	if (worker->pidfd < 0 ||
		sd_event_add_io(crew->event, &worker->death, worker->pidfd, EPOLLIN, on_death, worker) < 0) {
		fail_dead(worker);
		bury_worker(worker);
		return 0;
	}
	if (worker->doomed)
		(void)syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
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

static bool is_busy(const struct crew *crew, uid_t uid)
{
	for (const struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		if (worker->user && !worker->doomed && worker->uid == uid)
			return true;
	return false;
}

/* The oldest that has nothing to do ends by itself when its channel closes. */
static bool dismiss_one(struct crew *crew)
{
	for (struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		if (worker->bound && !worker->user && !worker->doomed && worker->pidfd >= 0) {
			worker_free(worker);
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
		struct crew_worker *worker = is_busy(crew, user->uid) ? NULL : find_worker(crew, user->uid);

		if (!worker) {
			missing |= !is_busy(crew, user->uid);
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
	unsigned n = 0;

	for (const struct crew_worker *worker = crew->workers; worker; worker = worker->next)
		n += worker->doomed && worker->bound && worker->uid == uid;
	return n >= CREW_STUCK_MAX;
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
		bury_worker(crew->workers);
	sd_event_source_disable_unref(crew->nursery_io);
	sd_event_source_disable_unref(crew->retry);
	sd_event_source_disable_unref(crew->clock);
	closep(&crew->nursery);
	free(crew);
	return NULL;
}
