/* SPDX-License-Identifier: BSD-3-Clause */
#include "parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARCEL_WAITING, /* for a worker */
	PARCEL_BUSY,	/* a report is to come */
	PARCEL_OPEN,	/* the worker has it */
	PARCEL_CLOSED,	/* the worker has it no longer, nor the parcel the worker */
	PARCEL_FAILED,	/* the worker is to end */
};

static void parcel_free(struct parcel *parcel)
{
	void (*gone)(void *userdata) = parcel->gone;
	void *userdata = parcel->gone_userdata;

	closep(&parcel->pidfd);
	closep(&parcel->owner);
	for (size_t i = 0; i < parcel->n_held; i++)
		closep(&parcel->held[i]);
	free(parcel->sights);
	free(parcel);
	if (gone)
		gone(userdata);
}

static bool is_released(const struct parcel *parcel)
{
	return !parcel->done;
}

static void finish_step(struct parcel *parcel)
{
	parcel->done(parcel, parcel->userdata);
}

static void leave(struct parcel *parcel)
{
	parcel->state = PARCEL_CLOSED;
	crew_leave(parcel->crew, &parcel->user);
}

static void send_work(struct parcel *parcel)
{
	const bool receives = parcel->work.kind == WORK_RECEIVE;

	parcel->state = PARCEL_BUSY;
	parcel->n_sent = receives ? 0 : parcel->n_fds;
	(void)crew_send(&parcel->user, &parcel->work, receives ? &parcel->socket : parcel->fds,
		receives ? 1 : parcel->n_fds);
	parcel->n_fds = 0;
}

static void on_ready(struct crew_user *user)
{
	send_work((struct parcel *)user);
}

/* What was not taken of the duplicates is closed while the worker still has its own. */
static void send_close(struct parcel *parcel)
{
	while (parcel->n_held)
		closep(&parcel->held[--parcel->n_held]);
	parcel->work = (struct work){.kind = WORK_CLOSE};
	send_work(parcel);
}

/* Whether this part was asked for, and is the one that comes next */
static bool is_next_part(
	const struct parcel *parcel, const struct report *report, const struct packet *attached)
{
	const struct work *work = &parcel->work;

	if (parcel->sights)
		return report->first == parcel->n_seen && report->total == parcel->n && report->first &&
		       !attached->n_fds;
	return !report->first && (work->kind == WORK_RECEIVE || report->total == parcel->n_sent) &&
	       report->has_owner == (work->owner && report->total) &&
	       attached->n_fds == (size_t)report->has_pidfd + report->has_owner;
}

static void take_first_part(struct parcel *parcel, const struct report *report, struct packet *attached)
{
	size_t at = 0;

	parcel->result = report->result;
	parcel->refusal = report->refusal;
	parcel->n = report->total;
	if (report->has_pidfd)
		parcel->pidfd = TAKE_FD(attached->fds[at++]);
	if (report->has_owner)
		parcel->owner = TAKE_FD(attached->fds[at++]);
	parcel->sights = calloc(report->total + 1, sizeof(*parcel->sights));
}

static enum crew_progress take_sights(
	struct parcel *parcel, const struct report *report, struct packet *attached)
{
	if (!is_next_part(parcel, report, attached))
		return CREW_WRONG;
	if (!report->first)
		take_first_part(parcel, report, attached);
	if (parcel->sights)
		memcpy(&parcel->sights[report->first], report->sights, report->n * sizeof(*report->sights));
	else
		parcel->result = -ENOMEM;
	if (report->refused != UINT32_MAX && parcel->refused == SIZE_MAX) {
		parcel->refused = report->refused;
		parcel->reason = report->refusal;
	}
	parcel->n_seen += report->n;
	return parcel->n_seen < parcel->n ? CREW_MORE : CREW_DONE;
}

/* With no duplicates the worker has closed everything. */
static enum crew_progress take_held(
	struct parcel *parcel, const struct report *report, struct packet *attached)
{
	if (attached->n_fds > (report->result ? 0 : parcel->work.n_hold) ||
		(report->result && report->failed >= parcel->work.n_items))
		return CREW_WRONG;
	parcel->result = report->result;
	parcel->failed = report->failed;
	while (parcel->n_held < attached->n_fds) {
		parcel->held[parcel->n_held] = TAKE_FD(attached->fds[parcel->n_held]);
		parcel->n_held++;
	}
	return CREW_DONE;
}

static enum crew_progress take_report(
	struct parcel *parcel, const struct report *report, struct packet *attached)
{
	const enum work_kind kind = parcel->work.kind;

	if (parcel->state != PARCEL_BUSY)
		return CREW_WRONG;
	if (report->kind == REPORT_RECEIVED && parcel->work.announce) {
		parcel->work.announce = false;
		if (!is_released(parcel) && parcel->received)
			parcel->received(parcel->userdata);
		return CREW_MORE;
	}
	if (report->kind == REPORT_PARCEL && (kind == WORK_RECEIVE || kind == WORK_TAKE) &&
		!parcel->work.announce)
		return take_sights(parcel, report, attached);
	if (report->kind == REPORT_STAGED && kind == WORK_STAGE)
		return take_held(parcel, report, attached);
	return report->kind == REPORT_CLOSED && kind == WORK_CLOSE ? CREW_DONE : CREW_WRONG;
}

static enum crew_progress on_report(
	struct crew_user *user, const struct report *report, struct packet *attached)
{
	struct parcel *parcel = (struct parcel *)user;
	enum crew_progress progress = take_report(parcel, report, attached);

	if (progress != CREW_DONE)
		return progress;
	if (report->kind == REPORT_PARCEL || parcel->n_held)
		parcel->state = PARCEL_OPEN;
	else
		leave(parcel);
	if (!is_released(parcel)) {
		finish_step(parcel);
	} else if (parcel->state == PARCEL_OPEN) {
		send_close(parcel);
		return CREW_MORE;
	} else {
		parcel_free(parcel);
	}
	return CREW_DONE;
}

static void on_failed(struct crew_user *user, const struct refusal *refusal)
{
	struct parcel *parcel = (struct parcel *)user;
	const bool pending = parcel->state != PARCEL_OPEN; /* or nobody waits for a step to end */

	parcel->state = PARCEL_FAILED;
	parcel->result = REFUSED;
	parcel->refusal = *refusal;
	parcel->lost = true;
	if (pending && !is_released(parcel))
		finish_step(parcel);
}

static void on_gone(struct crew_user *user)
{
	struct parcel *parcel = (struct parcel *)user;

	parcel->state = PARCEL_CLOSED;
	if (is_released(parcel))
		parcel_free(parcel);
}

static struct parcel *parcel_new(struct crew *crew, uid_t uid, parcel_function *done, void *userdata)
{
	struct parcel *parcel = calloc(1, sizeof(*parcel));

	if (!parcel)
		return NULL;
	parcel->user = (struct crew_user){
		.uid = uid, .ready = on_ready, .report = on_report, .failed = on_failed, .gone = on_gone};
	parcel->crew = crew;
	parcel->state = PARCEL_WAITING;
	parcel->refused = SIZE_MAX;
	parcel->pidfd = parcel->owner = parcel->socket = -1;
	parcel->done = done;
	parcel->userdata = userdata;
	return parcel;
}

int parcel_fetch(struct crew *crew, uid_t uid, int socket, bool owner, uint64_t netns_cookie,
	void (*received)(void *userdata), parcel_function *done, void *userdata, struct parcel **ret,
	struct refusal *refusal)
{
	struct parcel *parcel;

	if (crew_is_stuck(crew, uid))
		return crew_refuse_stuck(uid, refusal);
	parcel = parcel_new(crew, uid, done, userdata);
	if (!parcel)
		return -ENOMEM;
	parcel->socket = socket;
	parcel->received = received;
	parcel->user.hurried = received;
	parcel->work = (struct work){
		.kind = WORK_RECEIVE, .announce = received, .owner = owner, .netns_cookie = netns_cookie};
	*ret = parcel;
	crew_join(crew, &parcel->user);
	return 0;
}

int parcel_take(struct crew *crew, const int *fds, size_t n_fds, uint64_t netns_cookie, parcel_function *done,
	void *userdata, struct parcel **ret)
{
	struct parcel *parcel = parcel_new(crew, CREW_UID_RESTORED, done, userdata);

	if (!parcel)
		return -ENOMEM;
	parcel->fds = fds;
	parcel->n_fds = n_fds;
	parcel->work = (struct work){.kind = WORK_TAKE, .netns_cookie = netns_cookie};
	*ret = parcel;
	crew_join(crew, &parcel->user);
	return 0;
}

void parcel_stage(struct parcel *parcel, const struct work_item *items, size_t n, const uint8_t *hold,
	size_t n_hold, parcel_function *done, void *userdata)
{
	parcel->done = done;
	parcel->userdata = userdata;
	parcel->work = (struct work){.kind = WORK_STAGE, .n_items = (uint32_t)n, .n_hold = (uint32_t)n_hold};
	memcpy(parcel->work.items, items, n * sizeof(*items));
	memcpy(parcel->work.hold, hold, n_hold);
	send_work(parcel);
}

bool parcel_is_waiting(const struct parcel *parcel)
{
	return parcel->state == PARCEL_WAITING;
}

bool parcel_is_open(const struct parcel *parcel)
{
	return parcel->state == PARCEL_OPEN;
}

void parcel_close(struct parcel *parcel, parcel_function *done, void *userdata)
{
	parcel->done = done;
	parcel->userdata = userdata;
	send_close(parcel);
}

void parcel_release(struct parcel *parcel, void (*gone)(void *userdata), void *userdata)
{
	if (!parcel)
		return;
	parcel->done = NULL;
	parcel->gone = gone;
	parcel->gone_userdata = userdata;
	if (parcel->state == PARCEL_OPEN) {
		send_close(parcel);
	} else if (parcel->state == PARCEL_WAITING) {
		crew_leave(parcel->crew, &parcel->user);
		parcel_free(parcel);
	} else if (parcel->state == PARCEL_CLOSED) {
		parcel_free(parcel);
	}
}
