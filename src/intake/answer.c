/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

#include <errno.h>

#include "../util/clock.h"

void answer_begin(struct answer *answer, const struct writer *packet)
{
	answer->packet = *packet;
	answer->n_fds = 0;
	answer->made = true;
	answer->last = true;
	answer->under_way = true;
}

void answer_begin_refusal(struct answer *answer, const struct refusal *refusal)
{
	struct writer packet = WRITER_NULL;

	writer_put(&packet, KEY_ERRNO, "%d", refusal->error);
	writer_put(&packet, KEY_REASON, "%s", refusal->text);
	answer_begin(answer, &packet);
}

void answer_begin_rows(struct answer *answer, const struct answer_source *source)
{
	answer->source = *source;
	answer->under_way = true;
	answer->made = false;
}

bool answer_is_endless(const struct answer *answer)
{
	return answer->source.is_ready;
}

void answer_release(struct answer *answer)
{
	if (answer->source.release)
		answer->source.release(answer->source.state);
	answer->source = (struct answer_source){0};
}

static void next_packet(struct answer *answer)
{
	answer->packet.size = 0;
	answer->packet.overflow = 0;
	answer->n_fds = 0;
	answer->last =
		!answer->source.next(answer->source.state, &answer->packet, answer->fds, &answer->n_fds);
	answer->made = true;
}

/* Return: whether there is a packet to send. */
static bool make_packet(struct answer *answer)
{
	if (!answer->made && (!answer_is_endless(answer) || answer->source.is_ready(answer->source.state)))
		next_packet(answer);
	return answer->made;
}

int answer_send(struct answer *answer, int socket, void (*sent)(void *userdata), void *userdata)
{
	const uint64_t begin = clock_monotonic_nsec();
	int r;

	for (int n = 0; answer->under_way; n++) {
		if (!make_packet(answer))
			return ANSWER_NEEDS_PACKET;
		/* other sessions get their turn */
		if (n == ANSWER_BATCH || (n && clock_monotonic_nsec() - begin > ANSWER_BATCH_NSEC))
			return ANSWER_NEEDS_ROOM;
		r = packet_send(socket, answer->packet.text, answer->packet.size, answer->fds, answer->n_fds);
		if (r == -EAGAIN)
			return ANSWER_NEEDS_ROOM;
		if (r < 0)
			return r;
		sent(userdata);
		answer->made = false;
		answer->under_way = !answer->last;
	}
	answer_release(answer);
	return 0;
}
