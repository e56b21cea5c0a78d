/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Handing in: sockets become places, all of one request or none. */

#include "offer.h"

struct hand_in_outcome {
	size_t added, kept; /* sockets; those that were kept had been handed in before */
};

/*
 * hand_in_offer() - put sockets under their names
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int hand_in_offer(struct broker *broker, const struct offer_request *request, struct hand_in_outcome *ret,
	struct refusal *refusal);
