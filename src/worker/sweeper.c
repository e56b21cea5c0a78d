/* SPDX-License-Identifier: BSD-3-Clause */
#include "sweeper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../util/array.h"

struct sweeper_skip {
	struct sweeper *sweeper;
	struct sweeper_skip *next;
	int socket;
	bool sent;
	void (*done)(bool skipped, void *userdata);
	void *userdata;
};

/* To be closed as soon as the worker takes it */
struct grave {
	int fd;
	bool drain;
};

struct sweeper {
	struct crew_user user;	    /* has a worker all the time */
	struct crew *crew;	    /* borrowed */
	struct sweeper_skip *skips; /* in order; the first one may have been sent */
	struct grave *graves;
	size_t n_graves;
	unsigned n_burials; /* under way */
	bool able;	    /* there is a worker, which has answered, and it is not to end */
};

static void send_next_skip(struct sweeper *sweeper)
{
	struct sweeper_skip *skip = sweeper->skips;
	int r;

	if (!sweeper->able || !skip || skip->sent)
		return;
	r = crew_send(&sweeper->user, &(struct work){.kind = skip->socket < 0 ? WORK_SETTLE : WORK_SKIP},
		&skip->socket, skip->socket >= 0);
	/* what cannot be sent at all fails with the worker; a full queue only lets it wait */
	skip->sent = r != -EAGAIN;
}

/* The sweeper keeps it until the broker has closed its own, which is not the last one then. */
static void send_graves(struct sweeper *sweeper)
{
	bool any = false;

	while (sweeper->able && sweeper->n_graves) {
		const struct grave *grave = &sweeper->graves[sweeper->n_graves - 1];
		const struct work work = {.kind = WORK_KEEP, .drain = grave->drain};
		int r = crew_send(&sweeper->user, &work, &grave->fd, 1);

		/*
		 * ETOOMANYREFS: processes of usherd's own user fill queues of sockets with descriptors, maybe that of this
		 * very connection. They could as well kill usherd, so it does not protect itself from what closing may cost.
		 */
		if (r < 0 && r != -ETOOMANYREFS)
			break;
		while (r < 0 && grave->drain && packet_skip(grave->fd))
			continue;
		(void)close(grave->fd);
		sweeper->n_graves--;
		any = any || r == 0;
	}
	if (any && crew_send(&sweeper->user, &(struct work){.kind = WORK_BURY}, NULL, 0) == 0)
		sweeper->n_burials++;
}

static void send_all(struct sweeper *sweeper)
{
	send_graves(sweeper);
	send_next_skip(sweeper);
}

/*
 * The nursery may be unable to fork it, and drop what is in the channel: it would be the last to have a stranger's
 * connection, and wait. So nothing is sent until the worker has answered.
 */
static void on_ready(struct crew_user *user)
{
	(void)crew_send(user, &(struct work){.kind = WORK_GREET}, NULL, 0);
}

static void remove_skip(struct sweeper_skip *skip)
{
	struct sweeper_skip **at = &skip->sweeper->skips;

	while (*at != skip)
		at = &(*at)->next;
	*at = skip->next;
	free(skip);
}

static void finish_skip(struct sweeper *sweeper, bool skipped)
{
	struct sweeper_skip *skip = sweeper->skips;
	void (*done)(bool skipped, void *userdata);
	void *userdata;

	if (!skip || !skip->sent)
		return;
	done = skip->done;
	userdata = skip->userdata;
	remove_skip(skip);
	if (done)
		done(skipped, userdata);
}

static enum crew_progress on_report(
	struct crew_user *user, const struct report *report, struct packet *attached)
{
	struct sweeper *sweeper = (struct sweeper *)user;

	(void)attached;
	if (report->kind == REPORT_SKIPPED && !sweeper->able)
		sweeper->able = true;
	else if (report->kind == REPORT_SKIPPED && sweeper->skips && sweeper->skips->sent)
		finish_skip(sweeper, true);
	else if (report->kind == REPORT_CLOSED && sweeper->n_burials)
		sweeper->n_burials--;
	else
		return CREW_WRONG;
	send_all(sweeper);
	return sweeper->n_burials || (sweeper->skips && sweeper->skips->sent) ? CREW_MORE : CREW_DONE;
}

static void on_failed(struct crew_user *user, const struct refusal *refusal)
{
	struct sweeper *sweeper = (struct sweeper *)user;

	(void)refusal;
	sweeper->able = false;
	sweeper->n_burials = 0;
	finish_skip(sweeper, false);
}

static void on_gone(struct crew_user *user)
{
	struct sweeper *sweeper = (struct sweeper *)user;

	crew_join(sweeper->crew, user);
}

struct sweeper *sweeper_new(struct crew *crew)
{
	struct sweeper *sweeper = calloc(1, sizeof(*sweeper));

	if (!sweeper)
		return NULL;
	sweeper->user = (struct crew_user){.uid = CREW_UID_SWEEPER,
		.ready = on_ready,
		.report = on_report,
		.failed = on_failed,
		.gone = on_gone};
	sweeper->crew = crew;
	crew_join(crew, &sweeper->user);
	return sweeper;
}

struct sweeper *sweeper_free(struct sweeper *sweeper)
{
	if (!sweeper)
		return NULL;
	while (sweeper->skips) {
		struct sweeper_skip *skip = sweeper->skips;

		sweeper->skips = skip->next;
		free(skip);
	}
	crew_leave(sweeper->crew, &sweeper->user);
	free(sweeper->graves);
	free(sweeper);
	return NULL;
}

struct sweeper_skip *sweeper_skip(
	struct sweeper *sweeper, int socket, void (*done)(bool skipped, void *userdata), void *userdata)
{
	struct sweeper_skip *skip = calloc(1, sizeof(*skip)), **at = &sweeper->skips;

	if (!skip)
		return NULL;
	*skip = (struct sweeper_skip){
		.sweeper = sweeper, .socket = socket, .done = done, .userdata = userdata};
	while (*at)
		at = &(*at)->next;
	*at = skip;
	send_next_skip(sweeper);
	return skip;
}

struct sweeper_skip *sweeper_settle(
	struct sweeper *sweeper, void (*done)(bool settled, void *userdata), void *userdata)
{
	return sweeper_skip(sweeper, -1, done, userdata);
}

void sweeper_cancel(struct sweeper_skip *skip)
{
	if (skip && skip->sent)
		skip->done = NULL;
	else if (skip)
		remove_skip(skip);
}

void sweeper_close_consume(struct sweeper *sweeper, int fd, bool drain)
{
	/* without memory it stays open */
	if (fd < 0 || ARRAY_RESERVE(sweeper->graves, sweeper->n_graves) < 0)
		return;
	sweeper->graves[sweeper->n_graves++] = (struct grave){.fd = fd, .drain = drain};
	send_graves(sweeper);
}

void sweeper_hang_up_consume(struct sweeper *sweeper, int socket, bool busy)
{
	bool has_fds = false;
	int r = 0;

	/* nothing comes after what is in the queue now */
	(void)shutdown(socket, SHUT_RDWR);
	while (!busy && !has_fds && (r == 0 || r == PACKET_REFUSED)) {
		_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
		struct refusal refusal;

		r = packet_peek(socket, &packet, &has_fds, &refusal);
		if ((r == 0 || r == PACKET_REFUSED) && !has_fds)
			(void)packet_skip(socket);
	}
	if (busy || has_fds)
		sweeper_close_consume(sweeper, socket, true);
	else
		(void)close(socket);
}
