/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Withdrawing sockets of a name: they leave their seats and are not held any longer */

#include "../access/identity.h"
#include "broker.h"

struct withdrawal {
	const struct identity *sender; /* the client */
	const char *name;
	const uint64_t *cookies; /* only these sockets; NULL: all of the name */
	size_t n;
	int protocol,
		family; /* only from seats of these: IPPROTO_TCP or _UDP, AF_INET or AF_INET6; 0: of any */
};

/*
 * withdrawal_perform() - take them out
 *
 * A socket that stays in a seat of the name, since it is taken out of that of the other family only, is still held.
 *
 * @ret: how many sockets that were; a dual-stack socket counts once
 *
 * Return: 0, REFUSED (not allowed, or no such socket), or a negative errno.
 */
int withdrawal_perform(
	struct broker *broker, const struct withdrawal *withdrawal, size_t *ret, struct refusal *refusal);
