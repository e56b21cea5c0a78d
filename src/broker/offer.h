/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets that are offered: each is checked, and matched with the seats of its rule. Nothing is changed here. */

#include "../access/identity.h"
#include "../util/name.h"
#include "../worker/parcel.h"
#include "broker.h"

/* A socket, and the name under which it is offered */
struct offer_socket {
	char name[NAME_LENGTH_MAX +
		  2];	      /* not checked yet; a name that is too long is cut, and still too long */
	unsigned long number; /* the client's number of the socket, for messages */
};

/* A hand-in, as a door makes it from what it received */
struct offer_request {
	const struct identity *owner; /* the process that owns the sockets */
	int pidfd;		      /* of the owner, or -1 */
	bool found; /* usher-discover found the sockets; their owner has asked for nothing */
	enum usher_via via;
	bool hold; /* the broker keeps duplicates */
	const struct parcel
		*parcel; /* which a worker has looked at; its first @n descriptors are the sockets */
	const struct offer_socket *sockets;
	size_t n;
};

/* A seat that a socket is to sit in: one, or two for a dual-stack socket. */
struct aim {
	uint32_t seat;
	uint32_t slot; /* with the number of a member; group.h */
	bool staged;   /* not there before */
	bool dual_stack;
};

struct offered_socket {
	const struct rule *rule;
	struct socket_facts facts;
	uint32_t maker; /* uid of the socket */
	struct aim aims[2];
	size_t n_aims;
};

struct offer {
	struct broker *broker;
	const struct offer_request *request;
	struct offered_socket *sockets; /* as many as the request has */
	size_t n;
};

#define OFFER_NULL ((struct offer){.sockets = NULL})

/*
 * offer_read() - check each socket of a request, and whether its owner may use its name
 * @request: must outlive the offer
 * @offer:   to be deinitialised whatever the outcome
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int offer_read(struct broker *broker, const struct offer_request *request, struct offer *offer,
	struct refusal *refusal);
void offer_deinit(struct offer *offer);

/* offer_refuse() - put "socket 5 " in front of a refusal, with the client's number of the socket; REFUSED */
int offer_refuse(const struct offer *offer, size_t index, struct refusal *refusal);
