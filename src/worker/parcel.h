/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Descriptors that a stranger sent, which a worker has and the broker has not
 *
 * A parcel is fetched, which shows what is in it; its sockets may be staged; then it is closed. Each step ends with a
 * call of the function that was given with it, from the event loop. `result` is then 0, or what went wrong.
 */

#include "crew.h"

struct parcel;

typedef void parcel_function(struct parcel *parcel, void *userdata);

struct parcel {
	struct crew_user user;
	struct crew *crew; /* borrowed */
	int state;

	/* of the last step: 0, REFUSED, or a negative errno */
	int result;
	struct refusal refusal;
	bool lost; /* its worker failed, and may still be at it until the parcel is gone */

	/* what is in it */
	struct sight *sights;
	size_t n, n_seen;
	struct refusal reason; /* why sights[refused] was refused, the first one */
	size_t refused;
	int pidfd; /* of the sender, or -1 */
	int owner; /* the last descriptor, when it was asked for, or -1: to be taken with TAKE_FD */

	/* of parcel_stage() */
	uint32_t failed;		/* the item that `result` is about */
	int held[PROTOCOL_HAND_IN_MAX]; /* duplicates, to be taken with TAKE_FD */
	size_t n_held;

	struct work work; /* the next one */
	int socket;	  /* borrowed */
	const int *fds;	  /* borrowed */
	size_t n_fds, n_sent;
	void (*received)(void *userdata);
	parcel_function *done;
	void *userdata;
	void (*gone)(void *userdata);
	void *gone_userdata;
};

/*
 * parcel_fetch() - have a worker of this uid receive the next packet of a socket
 * @socket:   must stay open, and nobody may receive from it, until the step is over or `received` was called
 * @owner:    the last descriptor is asked for
 * @received: NULL, or called when the packet has been received and not been looked at
 *
 * Return: 0, REFUSED when the uid is stuck (EUSERS), or a negative errno.
 */
int parcel_fetch(struct crew *crew, uid_t uid, int socket, bool owner, uint64_t netns_cookie,
	void (*received)(void *userdata), parcel_function *done, void *userdata, struct parcel **ret,
	struct refusal *refusal);

/*
 * parcel_take() - have a worker look at descriptors that the broker has
 * @fds: stay the caller's, and stay open and where they are until the step is over
 */
int parcel_take(struct crew *crew, const int *fds, size_t n_fds, uint64_t netns_cookie, parcel_function *done,
	void *userdata, struct parcel **ret);

/*
 * parcel_stage() - put sockets of it into slots; all of them or, after a failure, some
 * @hold: indices of those that the broker is to have duplicates of; with any, the parcel is not closed
 *
 * When the worker failed, it may put the others in later: the slots can be used again when the parcel is gone.
 */
void parcel_stage(struct parcel *parcel, const struct work_item *items, size_t n, const uint8_t *hold,
	size_t n_hold, parcel_function *done, void *userdata);

/* parcel_is_waiting() - whether no worker has begun with it */
bool parcel_is_waiting(const struct parcel *parcel);

/* parcel_is_open() - whether a worker has what is in it, and waits for work */
bool parcel_is_open(const struct parcel *parcel);

/* parcel_close() - have what is in it closed */
void parcel_close(struct parcel *parcel, parcel_function *done, void *userdata);

/*
 * parcel_release() - be done with it, whatever is in it; accepts NULL
 * @gone: NULL, or called when its worker will do nothing about it any more, which may be at once
 */
void parcel_release(struct parcel *parcel, void (*gone)(void *userdata), void *userdata);
