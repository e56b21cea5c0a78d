/* SPDX-License-Identifier: BSD-3-Clause */
#include "crew_worker.h"

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
#include "../util/errno_name.h"
#include "crew.h"
#include "nursery.h"

void crew_worker_free(struct crew_worker *worker)
{
	sd_event_source_disable_unref(worker->io);
	sd_event_source_disable_unref(worker->death);
	closep(&worker->channel);
	closep(&worker->pidfd);
	free(worker);
}

/* ---- the end */

static void kill_worker(struct crew_worker *worker)
{
	if (worker->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
}

static void doom(struct crew_worker *worker, const struct refusal *refusal)
{
	if (worker->doomed)
		return;
	worker->doomed = true;
	(void)sd_event_source_set_enabled(worker->io, SD_EVENT_OFF);
	worker->deadline = 0;
	kill_worker(worker);
	if (worker->user)
		worker->user->failed(worker->user, refusal);
	worker->handlers->doomed(worker, worker->handlers->userdata);
}

static void doom_dead(struct crew_worker *worker)
{
	struct refusal refusal;

	(void)refuse(&refusal, ECHILD,
		"the process that looks at descriptors has ended or cannot be started (ECHILD); try again");
	doom(worker, &refusal);
}

static int on_death(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct crew_worker *worker = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	doom_dead(worker);
	worker->handlers->ended(worker, worker->handlers->userdata);
	return 0;
}

void crew_worker_doom_late(struct crew_worker *worker)
{
	struct refusal refusal;

	if (worker->unsent)
		(void)refuse(&refusal, worker->unsent,
			"the descriptors cannot be passed to the process that inspects them (%s)%s",
			errno_name(worker->unsent),
			worker->unsent == ETOOMANYREFS
				? "; the user of usherd has more of them in the queues of sockets than LimitNOFILE= of its unit: raise that, or try again later"
				: "; try again");
	else
		(void)refuse(&refusal, ETIMEDOUT,
			"the descriptors kept the process that inspects them waiting for %u s (ETIMEDOUT); send sockets that nobody keeps busy, and no files",
			CREW_PATIENCE_MS / 1000);
	doom(worker, &refusal);
}

/* ---- work */

static void set_deadline(struct crew_worker *worker)
{
	if (worker->doomed)
		return;
	worker->deadline = clock_monotonic_usec() + CREW_PATIENCE_MS * 1000ULL;
	worker->handlers->begun(worker->handlers->userdata);
}

/* It says what no worker says, so somebody else has a hold of it. */
static void doom_wrong(struct crew_worker *worker)
{
	struct refusal refusal;

	(void)refuse(&refusal, EPROTO,
		"the process that looks at descriptors made a report that makes no sense (EPROTO); it is killed, try again");
	doom(worker, &refusal);
}

static void take_report(struct crew_worker *worker, struct packet *packet)
{
	struct report report = {0};

	memcpy(&report, packet->text, packet->size < sizeof(report) ? packet->size : sizeof(report));
	if (!work_report_check(&report, packet->size)) {
		doom_wrong(worker);
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
		doom_wrong(worker);
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
		doom(worker, &refusal);
		return 0;
	}
	if (r != 0 || !worker->user) {
		/* its end comes with the pidfd, if the nursery has sent one */
		doom_dead(worker);
		return 0;
	}
	take_report(worker, &packet);
	return 0;
}

int crew_worker_send(struct crew_worker *worker, const struct work *work, const int *fds, size_t n_fds)
{
	size_t size = offsetof(struct work, items) + work->n_items * sizeof(*work->items);
	int r = packet_send(worker->channel, (const char *)work, size, fds, n_fds);

	/* nothing is answered to the first, and the second cannot take long: without a deadline, no clock wakes the broker */
	if (work->kind != WORK_KEEP && work->kind != WORK_GREET)
		set_deadline(worker);
	/* what is not sent is not done; its user is not ready to hear of that before this function returns */
	if (r < 0 && r != -EAGAIN && worker->deadline) {
		worker->unsent = -r;
		worker->deadline = 1;
	}
	return r;
}

/* ---- the beginning */

struct crew_worker *crew_worker_hire(
	sd_event *event, int nursery, const struct crew_worker_handlers *handlers)
{
	struct crew_worker *worker = calloc(1, sizeof(*worker));
	int channel[2], r;

	if (!worker)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		free(worker);
		return NULL;
	}
	*worker = (struct crew_worker){.handlers = handlers, .channel = channel[0], .pidfd = -1};
	r = fcntl(channel[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(event, &worker->io, channel[0], EPOLLIN, on_report, worker);
	if (r >= 0)
		r = packet_send(nursery, NURSERY_WORKER, strlen(NURSERY_WORKER), &channel[1], 1);
	(void)close(channel[1]);
	if (r >= 0)
		return worker;
	crew_worker_free(worker);
	return NULL;
}

void crew_worker_adopt_consume(struct crew_worker *worker, sd_event *event, int pidfd)
{
	worker->pidfd = pidfd;
	if (pidfd < 0 || sd_event_add_io(event, &worker->death, pidfd, EPOLLIN, on_death, worker) < 0) {
		doom_dead(worker);
		worker->handlers->ended(worker, worker->handlers->userdata);
		return;
	}
	if (worker->doomed)
		kill_worker(worker);
}
