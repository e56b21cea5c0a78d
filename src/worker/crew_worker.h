/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One worker of the crew: its channel, its pidfd, its end
 *
 * It may be doomed: killed, and given no further work. It may be waiting where no signal reaches it, so its end comes
 * later, or not at all.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "../util/error.h"
#include "work.h"

struct crew_user;
struct crew_worker;

/* What the crew is told of each */
struct crew_worker_handlers {
	void (*begun)(void *userdata); /* it has work, and a deadline */
	void (*doomed)(struct crew_worker *worker, void *userdata);
	void (*ended)(struct crew_worker *worker, void *userdata); /* to be freed */
	void *userdata;
};

struct crew_worker {
	const struct crew_worker_handlers *handlers; /* borrowed */
	struct crew_worker *next;		     /* of the crew */
	struct crew_user *user;
	uid_t uid;
	bool bound; /* to that uid */
	bool doomed;
	int channel;
	int pidfd;	   /* -1 until the nursery has answered */
	uint64_t deadline; /* CLOCK_MONOTONIC, microseconds; 0 while it has nothing to do */
	int unsent;	   /* positive errno: why its work did not reach it, and it is late at once */
	sd_event_source *io, *death;
};

/* crew_worker_hire() - ask the nursery for one. Return: NULL on failure */
struct crew_worker *crew_worker_hire(
	sd_event *event, int nursery, const struct crew_worker_handlers *handlers);

/* crew_worker_free() - what is about to be done is done; then it ends, since its channel closes */
void crew_worker_free(struct crew_worker *worker);

/* crew_worker_adopt_consume() - @pidfd: what the nursery answered, or -1 */
void crew_worker_adopt_consume(struct crew_worker *worker, sd_event *event, int pidfd);

/* crew_worker_send() - as crew_send() */
int crew_worker_send(struct crew_worker *worker, const struct work *work, const int *fds, size_t n_fds);

/* crew_worker_doom_late() - its deadline has passed */
void crew_worker_doom_late(struct crew_worker *worker);
