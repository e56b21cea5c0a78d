/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A request as the doors deliver it: its message, its descriptors and its sender */

#include <stddef.h>
#include <stdint.h>

#include "../access/identity.h"
#include "../wire/message.h"
#include "../wire/packet.h"
#include "../worker/parcel.h"

struct intake_request {
	const struct message *message;
	struct parcel *
		parcel; /* the descriptors that came along, or NULL; to be taken with TAKE_PTR, or it is released */
	size_t n_fds;
	struct identity identity; /* of the sender */
	uint64_t received;	  /* clock_monotonic_nsec() */
	int pidfd;		  /* of the sender, or -1 when the process is gone or not visible; borrowed */

	int own_pidfd;	 /* owns `pidfd` if it was opened by number */
	char *unit;	 /* owns identity.unit */
	char *user_unit; /* owns identity.user_unit */
};

/*
 * intake_request_init() - from a packet that has credentials; the packet must outlive the request
 *
 * Afterwards the identity of the sender is complete except for its groups. The pidfd is the one that came with the
 * packet (Linux 6.5). If none came, the pidfd is opened by pid, and pid and unit are not `verified`: another process
 * may have got the pid since the packet was sent.
 */
void intake_request_init(struct intake_request *request, struct packet *packet);

/*
 * intake_request_open() - the descriptors of the packet have been fetched: with them came the pidfd of the sender
 * @parcel: the request's from now on
 *
 * Of a sender that is still alive, what was read of its number was about itself, and is verified.
 */
void intake_request_open(struct intake_request *request, struct parcel *parcel);
void intake_request_deinit(struct intake_request *request);
