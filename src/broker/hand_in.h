/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Handing in: sockets become places, all of one request or none. */

#include "offer.h"

struct hand_in_outcome {
	size_t added, kept; /* sockets; those that were kept had been handed in before */
};

struct hand_in;

/* @result: 0, REFUSED, or a negative errno */
typedef void hand_in_function(
	int result, const struct hand_in_outcome *outcome, const struct refusal *refusal, void *userdata);

/*
 * hand_in_begin() - put sockets under their names
 * @request: must stay where it is until @done or hand_in_cancel() is called
 * @parcel:  that of the request; taken when 0 is returned
 * @done:    called from the event loop when 0 is returned, and not before
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int hand_in_begin(struct broker *broker, const struct offer_request *request, struct parcel **parcel,
	hand_in_function *done, void *userdata, struct hand_in **ret, struct refusal *refusal);

/* hand_in_cancel() - undo what has been done so far */
void hand_in_cancel(struct hand_in *hand_in);

/* hand_in_needs_seat() - whether a socket may be on its way there */
bool hand_in_needs_seat(const struct broker *broker, uint32_t seat);
