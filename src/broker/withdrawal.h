/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets of a name that are to leave their seats, and not to be held any longer */

#include "../access/identity.h"
#include "broker.h"

struct withdrawal {
	const struct identity *sender; /* who asks */
	const char *name;
	const uint64_t *cookies; /* only these sockets; NULL: all of the name */
	size_t n;
};

/*
 * withdrawal_perform() - take them out
 * @ret: how many sockets that were; a dual-stack socket counts once
 *
 * Return: 0, REFUSED (no right to, or there was none), or a negative errno.
 */
int withdrawal_perform(
	struct broker *broker, const struct withdrawal *withdrawal, size_t *ret, struct refusal *refusal);
