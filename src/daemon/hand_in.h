/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Handing in: sockets become places, all of one request or none. */

#include "../intake/request.h"
#include "broker.h"

struct hand_in_manner {
	enum usher_via via;
	bool hold; /* the broker keeps duplicates */
};

/*
 * hand_in() - put the sockets of a request under the names in its message
 * @request: identified (intake_identify()); its message has NAME= or NAMES=, FDS= for the wording, and perhaps OWNER=,
 *           which is for the caller to refuse to anybody but root
 * @answer:  the ending packet, on success
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int hand_in(struct broker *broker, struct intake_request *request, const struct hand_in_manner *manner,
	struct writer *answer, struct refusal *refusal);
