/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../bpf/usher-bpf.h"
#include "../util/macro.h"
#include "work.h"

#define MOMENT_USEC 1000
#define KEPT_MAX 256U /* more than fit into the channel */

static struct {
	int channel;
	int maps[WORK_MAPS];
	struct packet parcel;
	struct {
		int fd;
		bool drain;
	} kept[KEPT_MAX];
	size_t n_kept;
} worker;

/* The broker closes the channel when it ends; then there is nobody to report to. */
static void send_report(const struct report *report, const int *fds, size_t n_fds)
{
	if (packet_send(worker.channel, (const char *)report,
		    offsetof(struct report, sights) + report->n * sizeof(*report->sights), fds, n_fds) < 0)
		_exit(1);
}

/* ---- looking */

static void look_at(int fd, uint64_t netns_cookie, struct sight *sight, struct refusal *refusal)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;
	struct stat st;

	*sight = (struct sight){.maker = (uid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		sight->cookie_error = errno;
	sight->result = inspect_socket(fd, netns_cookie, &sight->facts, refusal);
	sight->facts.cookie = cookie;
	/* of a socket alone: a file may make fstat(2) wait for its server */
	if (!sight->result && fstat(fd, &st) == 0)
		sight->maker = st.st_uid;
}

/* The parts of a report, the descriptors with the first of them. */
static void report_parcel(const struct work *work, struct report *report)
{
	const struct packet *parcel = &worker.parcel;
	struct refusal reason;
	int fds[2];
	size_t n_fds = 0;

	report->kind = REPORT_PARCEL;
	report->has_pidfd = parcel->pidfd >= 0;
	report->has_owner = work->owner && parcel->n_fds;
	if (report->has_pidfd)
		fds[n_fds++] = parcel->pidfd;
	if (report->has_owner)
		fds[n_fds++] = parcel->fds[parcel->n_fds - 1];
	report->total = (uint32_t)parcel->n_fds;
	report->refused = UINT32_MAX;
	do {
		for (report->n = 0; report->n < WORK_SIGHTS && report->first + report->n < report->total;
			report->n++) {
			struct sight *sight = &report->sights[report->n];

			look_at(parcel->fds[report->first + report->n], work->netns_cookie, sight, &reason);
			if (sight->result == REFUSED && report->refused == UINT32_MAX) {
				report->refused = report->first + report->n;
				report->refusal = reason;
			}
		}
		send_report(report, fds, n_fds);
		n_fds = 0;
		report->first += report->n;
	} while (report->first < report->total);
}

static void receive(const struct work *work, int socket)
{
	struct report report = {.kind = REPORT_RECEIVED};

	report.result = packet_receive_with_pidfd(socket, &worker.parcel, &report.refusal);
	(void)close(socket);
	if (work->announce)
		send_report(&report, NULL, 0);
	report_parcel(work, &report);
}

/* ---- putting into the maps */

/* BPF_NOEXIST: however long this process has waited, it takes no slot that somebody else has by now. */
static int put_into_sockets(const struct work_item *item)
{
	const struct usher_place_key key = {.seat = item->seat, .slot = item->slot};
	const uint64_t value = (uint64_t)worker.parcel.fds[item->index];

	return bpf_map_update_elem(worker.maps[WORK_MAP_SOCKETS], &key, &value, BPF_NOEXIST) < 0 ? -errno : 0;
}

/* Without an entry there the program finds the socket by the order, only a little slower. */
static void put_into_front(const struct work_item *item)
{
	const uint64_t value = (uint64_t)worker.parcel.fds[item->index];

	(void)bpf_map_update_elem(worker.maps[WORK_MAP_FRONT], &item->seat, &value, BPF_ANY);
}

static int stage(const struct work *work, uint32_t *ret_failed)
{
	for (uint32_t i = 0; i < work->n_items; i++) {
		int r = put_into_sockets(&work->items[i]);

		if (r < 0) {
			*ret_failed = i;
			return r;
		}
	}
	/* the last one first, so that the first one of the packet ends up in front */
	for (uint32_t i = work->n_items; i-- > 0;)
		if (work->items[i].front)
			put_into_front(&work->items[i]);
	return 0;
}

static void stage_and_report(const struct work *work)
{
	struct report report = {.kind = REPORT_STAGED};
	int fds[PROTOCOL_HAND_IN_MAX];
	size_t n = 0;

	report.result = stage(work, &report.failed);
	while (!report.result && n < work->n_hold) {
		fds[n] = worker.parcel.fds[work->hold[n]];
		n++;
	}
	if (!n)
		packet_deinit(&worker.parcel);
	send_report(&report, fds, n);
}

/* ---- closing */

static void on_alarm(int number)
{
	(void)number;
}

/*
 * From here on no call waits for SO_LINGER longer than a moment: a signal ends that (sk_stream_wait_close() in
 * net/core/stream.c). What was never received cannot wait for a file system: that is asked at close(2) alone.
 */
static void be_impatient(bool impatient)
{
	struct itimerval often = {0};

	if (impatient)
		often.it_interval.tv_usec = often.it_value.tv_usec = MOMENT_USEC;
	(void)setitimer(ITIMER_REAL, &often, NULL);
}

static void skip(int socket)
{
	const struct report report = {.kind = REPORT_SKIPPED};

	be_impatient(true);
	packet_skip(socket);
	(void)close(socket);
	be_impatient(false);
	send_report(&report, NULL, 0);
}

static void bury(void)
{
	const struct report report = {.kind = REPORT_CLOSED};

	be_impatient(true);
	for (size_t i = 0; i < worker.n_kept; i++) {
		while (worker.kept[i].drain && packet_skip(worker.kept[i].fd))
			continue;
		(void)close(worker.kept[i].fd);
	}
	be_impatient(false);
	worker.n_kept = 0;
	send_report(&report, NULL, 0);
}

static void keep(const struct work *work, int fd)
{
	if (worker.n_kept == KEPT_MAX)
		_exit(1);
	worker.kept[worker.n_kept].fd = fd;
	worker.kept[worker.n_kept++].drain = work->drain;
}

/* ---- one after another */

static void perform(const struct work *work, struct packet *packet)
{
	struct report report = {.kind = REPORT_CLOSED};

	switch (work->kind) {
	case WORK_RECEIVE:
		if (packet->n_fds)
			receive(work, TAKE_FD(packet->fds[0]));
		break;
	case WORK_TAKE:
		memcpy(worker.parcel.fds, packet->fds, packet->n_fds * sizeof(int));
		worker.parcel.n_fds = packet->n_fds;
		packet->n_fds = 0;
		report_parcel(work, &report);
		break;
	case WORK_STAGE:
		stage_and_report(work);
		break;
	case WORK_CLOSE:
		packet_deinit(&worker.parcel);
		send_report(&report, NULL, 0);
		break;
	case WORK_SKIP:
		if (packet->n_fds)
			skip(TAKE_FD(packet->fds[0]));
		break;
	case WORK_SETTLE:
	case WORK_GREET:
		report.kind = REPORT_SKIPPED;
		send_report(&report, NULL, 0);
		break;
	case WORK_KEEP:
		if (packet->n_fds)
			keep(work, TAKE_FD(packet->fds[0]));
		break;
	case WORK_BURY:
		bury();
		break;
	}
}

_Noreturn void worker_run(int channel, const int *maps)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	struct work work;

	worker.channel = channel;
	memcpy(worker.maps, maps, sizeof(worker.maps));
	worker.parcel = PACKET_NULL;
	(void)sigaction(SIGALRM, &action, NULL);
	for (;;) {
		int r = packet_receive(channel, &packet, &refusal);

		if (r == PACKET_AGAIN)
			continue;
		if (r != 0)
			_exit(0);
		work = (struct work){.kind = WORK_CLOSE};
		memcpy(&work, packet.text, packet.size < sizeof(work) ? packet.size : sizeof(work));
		perform(&work, &packet);
		packet_deinit(&packet);
	}
}
