/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a request offers: its sockets, each looked at and sent to the seats of its rule. Nothing is changed here. */

#include "../intake/inspect.h"
#include "../intake/owner.h"
#include "../intake/request.h"
#include "broker.h"
#include "hand_in.h"

/* A seat that a socket is to sit in: one, or two for a dual-stack socket. */
struct aim {
	uint32_t seat, slot;
	bool staged; /* not there before */
	bool dual_stack;
};

struct candidate {
	int fd; /* of the request */
	const struct rule *rule;
	struct socket_facts facts;
	struct aim aims[2];
	size_t n_aims;
	bool held_now; /* by this request */
};

struct offer {
	struct broker *broker;
	const struct intake_request *request;
	const struct identity *owner; /* whose the sockets are: the sender, or the process of OWNER= */
	int pidfd;		      /* of the owner, or -1; borrowed */
	bool found;		      /* OWNER=: the owner has asked for nothing */
	enum usher_via via;
	bool hold;
	struct candidate *candidates;
	size_t n;
	struct owner process; /* of OWNER= */
};

#define OFFER_NULL ((struct offer){.process = OWNER_NULL})

/*
 * offer_read() - check each socket of a request, and whether its owner may use its name
 * @request: must outlive the offer; the pidfd of OWNER= is taken from its descriptors
 * @offer:   points into itself: do not copy it; to be deinitialised whatever comes of it
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int offer_read(struct broker *broker, struct intake_request *request, const struct hand_in_manner *manner,
	struct offer *offer, struct refusal *refusal);
void offer_deinit(struct offer *offer);

/* offer_refuse() - put "socket 5 " in front of a refusal, the number being what the client knows it by; REFUSED */
int offer_refuse(const struct offer *offer, size_t index, struct refusal *refusal);
