/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The workers, as the broker sees them: who has one, and what becomes of one that does not answer
 *
 * A worker serves one uid and one user of it (a parcel, or the sweeper) at a time. The users of a uid wait for each other,
 * but for those that are in a hurry. A worker that takes longer than CREW_PATIENCE_MS is killed. It may be waiting where no
 * signal reaches it: the broker waits for its end no more than for anything else, and a uid with CREW_STUCK_MAX of them
 * gets none until they have ended.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "../util/macro.h"
#include "work.h"

#define CREW_PATIENCE_MS 2000U
#define CREW_STUCK_MAX 4U
#define CREW_MAX 192U	     /* workers that are not to end */
#define CREW_HURRIED_MAX 64U /* of them, those of users in a hurry; others need the rest */
#define CREW_IDLE_MAX 16U    /* of them, that have nothing to do */

/* Workers that serve no process's uid: no process can have these. */
#define CREW_UID_SWEEPER ((uid_t)-1)
#define CREW_UID_RESTORED ((uid_t)-2) /* sockets that the service manager gave back */
#define CREW_UID_FOUND ((uid_t)-3)    /* sockets of others that usher-discover sends as root */

struct crew;
struct crew_worker;

/* What a report means */
enum crew_progress {
	CREW_DONE,
	CREW_MORE,  /* another one follows */
	CREW_WRONG, /* nobody asked for it: the worker is to end, and nothing has come of the report */
};

/* Who wants a worker, or has one */
struct crew_user {
	uid_t uid;
	bool hurried; /* other uids wait until it has a worker: it gets one beside others of its uid */
	/* it has one: the first work can be sent. Nothing else may be called here but crew_send(). */
	void (*ready)(struct crew_user *user);
	/* What is attached and not taken is closed. */
	enum crew_progress (*report)(
		struct crew_user *user, const struct report *report, struct packet *attached);
	/* the worker has died or takes too long: no report comes any more, but it may still do what it was about */
	void (*failed)(struct crew_user *user, const struct refusal *refusal);
	/* and now it does nothing any more: the user has no worker, and may be freed */
	void (*gone)(struct crew_user *user);

	struct crew_user *next;
	struct crew_worker *worker;
};

/*
 * crew_new() - @nursery: from nursery_start(), consumed
 *
 * When the nursery ends, the event loop does.
 */
int crew_new(sd_event *event, int nursery, struct crew **ret);

/* crew_start() - @maps: WORK_MAPS of them, which stay the caller's; before, nobody gets a worker */
int crew_start(struct crew *crew, const int *maps);

/* crew_free() - end all workers, and with them their users (gone()); accepts NULL, returns NULL */
struct crew *crew_free(struct crew *crew);
DEFINE_CLEANUP(struct crew, crew_free);

/* crew_is_stuck() - whether too many workers of this uid cannot be ended */
bool crew_is_stuck(const struct crew *crew, uid_t uid);

/* crew_busy_usec() - for how long a uid has had all the workers that it may have at work; 0 when it may have another one */
uint64_t crew_busy_usec(const struct crew *crew, uid_t uid);

/* crew_refuse_stuck() - say so; REFUSED */
int crew_refuse_stuck(uid_t uid, struct refusal *refusal);

/* crew_join() - get a worker, now or when there is one */
void crew_join(struct crew *crew, struct crew_user *user);

/* crew_leave() - give the worker back, which has nothing to do, or stop waiting for one */
void crew_leave(struct crew *crew, struct crew_user *user);

/*
 * crew_send() - have something done; @fds stay the caller's
 *
 * What goes wrong is reported by failed(), later, too. Return: 0, or a negative errno when it was not sent.
 */
int crew_send(struct crew_user *user, const struct work *work, const int *fds, size_t n_fds);
