/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The socket that [Discover] of a rule describes, and why it has not been handed in */

#include "../host/socket_owner.h"
#include "explanation.h"

struct described_socket {
	enum {
		DESCRIBED_UNKNOWN, /* the rule has no [Discover], or the host could not be scanned */
		DESCRIBED_ABSENT,  /* nothing listens there */
		DESCRIBED_REFUSED, /* usher-discover refuses it */
		DESCRIBED_ACCEPTED,
	} what;
	char where[ENDPOINT_TEXT_MAX];	 /* its address; when absent, the first Socket= */
	char who[SOCKET_OWNER_TEXT_MAX]; /* the process that has it open */
	pid_t pid;			 /* 0: not seen */
	struct refusal refusal;		 /* text: a predicate, as in struct scan_candidate */
	char *file;			 /* file and line of the first Socket= */
	unsigned line;
};

#define DESCRIBED_SOCKET_NULL ((struct described_socket){})

void described_socket_deinit(struct described_socket *described);

/*
 * described_socket_find() - look for the socket that the winner lacks
 *
 * By the rule in force, which usher-discover has read. Looks only as root: other users cannot see the owners of sockets.
 *
 * Return: 0 or -ENOMEM.
 */
int described_socket_find(
	const struct asked *asked, const struct explanation *explanation, struct described_socket *ret);
