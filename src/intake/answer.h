/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The answer of a session
 *
 * It has one packet or several. Each is made when the socket has room for it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../util/error.h"
#include "../wire/message.h"
#include "../wire/packet.h"

/* Packets of an answer that are sent before other sessions get their turn. */
#define ANSWER_BATCH 64
#define ANSWER_BATCH_NSEC 2000000U

/*
 * Where the packets of an answer come from
 *
 * next() writes one packet and says whether another one follows. It may put descriptors into `fds`, at most
 * PACKET_FDS_MAX, which stay its own. release() is called when the answer has been sent or the session has ended.
 *
 * An answer without end also has is_ready(): whether next() has a packet. Its maker calls session_wake() when next()
 * has one again.
 */
struct answer_source {
	bool (*next)(void *state, struct writer *packet, int *fds, size_t *n_fds);
	void (*release)(void *state);
	bool (*is_ready)(void *state);
	bool is_long; /* other sessions come before each part of it */
	void *state;
};

struct answer {
	bool under_way;
	bool made; /* there is something in `packet` */
	bool last; /* `packet` is the last one of the answer */
	struct answer_source source;
	struct writer packet; /* waits for room */
	int fds[PACKET_FDS_MAX];
	size_t n_fds;
};

/* One of these begins an answer. */
void answer_begin(struct answer *answer, const struct writer *packet);
void answer_begin_refusal(struct answer *answer, const struct refusal *refusal);
void answer_begin_rows(struct answer *answer, const struct answer_source *source);

/* answer_is_endless() - whether the answer under way is one without end */
bool answer_is_endless(const struct answer *answer);

/* answer_release() - no further packet is made */
void answer_release(struct answer *answer);

/* Outcomes of answer_send() besides 0 */
enum {
	ANSWER_NEEDS_ROOM = 1, /* the rest of it: room in the socket, or another turn */
	ANSWER_NEEDS_PACKET,   /* an answer without end, which has none at present */
};

/*
 * answer_send() - send what fits into the socket of the answer under way
 * @sent: called after each packet
 *
 * Return: 0 when all of it has been sent, one of the outcomes above, or a negative errno.
 */
int answer_send(struct answer *answer, int socket, void (*sent)(void *userdata), void *userdata);
