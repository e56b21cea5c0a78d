/* SPDX-License-Identifier: BSD-3-Clause */
#include "deliver.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/text.h"

static bool is_same_seat(const struct scan_candidate *a, const struct scan_candidate *b)
{
	return a->rule == b->rule && a->socket.protocol == b->socket.protocol &&
	       a->socket.family == b->socket.family;
}

/* How many members of a candidate's group come before it. Only the first ones are handed in, whatever their process. */
static unsigned rank_in_group(
	const struct scan_candidates *candidates, const struct scan_candidate *candidate)
{
	unsigned rank = 0;

	for (const struct scan_candidate *other = candidates->items; other < candidate; other++)
		rank += other->accepted && is_same_seat(other, candidate);
	return rank;
}

static void close_socket(struct scan_candidate *candidate)
{
	closep(&candidate->fd);
	candidate->fd = -1;
}

/* Collect the first remaining socket, and the others of its seat and owner. Return: how many. */
static size_t collect_sockets(
	const struct scan_candidates *candidates, struct scan_candidate *packet[static DELIVER_GROUP_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < candidates->n && n < DELIVER_GROUP_MAX; i++) {
		struct scan_candidate *candidate = &candidates->items[i];

		if (candidate->fd < 0 || (n && (!is_same_seat(candidate, packet[0]) ||
						       candidate->owner.pid != packet[0]->owner.pid)))
			continue;
		packet[n++] = candidate;
	}
	return n;
}

/* Read the broker's answer, or how the connection ended. */
static int ask_broker(
	struct client *client, struct writer *request, const int *fds, size_t n_fds, struct refusal *refusal)
{
	int r;

	client_renew(client);
	r = client_request(client, request, fds, n_fds, refusal);
	if (!r)
		r = client_next(client, refusal);
	if (!r)
		return 0;
	return client->socket < 0 ? DELIVER_ABSENT : REFUSED;
}

static int send_packet(
	struct client *client, struct scan_candidate *const *packet, size_t n, struct refusal *refusal)
{
	int fds[DELIVER_GROUP_MAX + 1];
	struct writer request;
	const char *added;
	int r;

	client_begin(&request, REQUEST_HAND_IN);
	writer_put(&request, KEY_NAME, "%s", packet[0]->rule->name);
	writer_put(&request, KEY_VIA, "%s", via_word(VIA_DISCOVER));
	writer_put(&request, KEY_OWNER, OWNER_PIDFD);
	for (size_t i = 0; i < n; i++)
		fds[i] = packet[i]->fd;
	fds[n] = packet[0]->owner.pidfd;
	r = ask_broker(client, &request, fds, n + 1, refusal);
	added = r ? NULL : message_get(&client->message, KEY_ADDED);
	for (size_t i = 0; i < n; i++) {
		packet[i]->handed_in = !r;
		packet[i]->kept = added && !strcmp(added, "0");
		close_socket(packet[i]);
		if (r == REFUSED) {
			packet[i]->accepted = false;
			(void)refuse(&packet[i]->refusal, refusal->error, "cannot be handed in: %s",
				refusal->text);
		}
	}
	return r;
}

int deliver_candidates(struct client *client, struct scan_candidates *candidates, struct refusal *refusal)
{
	struct scan_candidate *packet[DELIVER_GROUP_MAX];
	size_t n;
	int r = 0;

	for (size_t i = candidates->n; i-- > 0;)
		if (rank_in_group(candidates, &candidates->items[i]) >= DELIVER_GROUP_MAX)
			close_socket(&candidates->items[i]);
	while ((n = collect_sockets(candidates, packet)) && r != DELIVER_ABSENT)
		r = send_packet(client, packet, n, refusal);
	return r == DELIVER_ABSENT ? r : 0;
}

int deliver_read_broker(struct client *client, pid_t *ret, struct refusal *refusal)
{
	struct writer request;
	unsigned long pid;
	const char *word;
	int r;

	client_begin(&request, REQUEST_STATUS);
	r = ask_broker(client, &request, NULL, 0, refusal);
	if (r)
		return r;
	word = message_get(&client->message, KEY_PID);
	if (!word || text_to_uint(word, INT_MAX, &pid) < 0)
		return refuse(refusal, EPROTO, "the answer of the broker has no valid PID= (EPROTO)");
	*ret = (pid_t)pid;
	return 0;
}

int deliver_evict(
	struct client *client, const char *name, uint64_t cookie, const char *reason, struct refusal *refusal)
{
	struct writer request;

	client_begin(&request, REQUEST_EVICT);
	writer_put(&request, KEY_NAME, "%s", name);
	writer_put(&request, KEY_COOKIE, "%" PRIx64, cookie);
	writer_put(&request, KEY_REASON, "%s", reason);
	return ask_broker(client, &request, NULL, 0, refusal);
}
