/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A request as the doors deliver it: its message, its descriptors and its sender */

#include <stddef.h>
#include <stdint.h>

#include "../access/identity.h"
#include "../wire/message.h"
#include "../wire/packet.h"

struct intake_request {
	const struct message *message;
	int *fds; /* to be taken with TAKE_FD; what is left is closed when the handler returns */
	size_t n_fds;
	struct identity identity; /* of the sender */
	uint64_t received;	  /* clock_monotonic_nsec() */
	int pidfd;		  /* of the sender, or -1 when the process is gone or not visible; borrowed */

	int own_pidfd; /* owns `pidfd` if it was opened by number */
	char *unit;    /* owns identity.unit */
};

/*
 * intake_request_init() - from a packet that has credentials; the packet must outlive the request
 *
 * Afterwards the identity of the sender is complete except for its groups. The pidfd is the one that came with the
 * packet (Linux 6.5). If none came, the pidfd is opened by pid, and pid and unit are not `verified`: another process
 * may have got the pid since the packet was sent.
 */
void intake_request_init(struct intake_request *request, struct packet *packet);
void intake_request_deinit(struct intake_request *request);
