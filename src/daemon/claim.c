/* SPDX-License-Identifier: BSD-3-Clause */

/* The request claim: held sockets are given to the process that asks for them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/named_rule.h"
#include "../broker/place.h"
#include "../util/array.h"
#include "../util/macro.h"
#include "../wire/names.h"
#include "../worker/staff.h"
#include "request.h"

/* Sockets in one packet of the answer: this many names of the greatest length fit into its text. */
#define CLAIM_BATCH 32U

struct claim {
	struct broker *broker;
	struct {
		char name[NAME_LENGTH_MAX + 1];
		uint64_t cookie;
		int fd;
	} * items;
	size_t n, sent;
};

static void claim_release(void *state)
{
	struct claim *claim = state;

	for (size_t i = 0; i < claim->n; i++)
		if (holder_find(claim->broker->holder, claim->items[i].name, claim->items[i].cookie))
			closep(&claim->items[i].fd);
		else /* it may be open here alone */
			sweeper_close_consume(claim->broker->staff->sweeper, claim->items[i].fd, false);
	free(claim->items);
	free(claim);
}

static void claim_freep(struct claim **claim)
{
	if (*claim)
		claim_release(*claim);
}

static bool claim_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct claim *claim = state;
	char names[CLAIM_BATCH * (NAME_LENGTH_MAX + 1)];
	size_t size = 0;

	if (claim->sent == claim->n) {
		writer_put(packet, KEY_OK, "1");
		writer_put(packet, KEY_CLAIMED, "%zu", claim->n);
		return false;
	}
	for (*n_fds = 0; *n_fds < CLAIM_BATCH && claim->sent < claim->n; claim->sent++) {
		size_t length = strlen(claim->items[claim->sent].name);

		if (size)
			names[size++] = ':';
		memcpy(names + size, claim->items[claim->sent].name, length);
		size += length;
		fds[(*n_fds)++] = claim->items[claim->sent].fd;
	}
	writer_put(packet, KEY_ROW, "1");
	writer_put(packet, KEY_NAMES, "%.*s", (int)size, names);
	return true;
}

static int claim_socket(struct claim *claim, const struct holder_entry *entry)
{
	int fd;

	if (ARRAY_RESERVE(claim->items, claim->n) < 0)
		return -ENOMEM;
	fd = fcntl(entry->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	claim->items[claim->n].fd = fd;
	claim->items[claim->n].cookie = entry->cookie;
	strcpy(claim->items[claim->n++].name, entry->name);
	return 0;
}

/* The process that claims a socket is its owner from now on. */
static void change_owner(
	struct broker *broker, const struct intake_request *request, const struct names *names)
{
	pid_t pid = registrants_is_watched(broker->registrants, request->identity.pid) ? request->identity.pid
										       : 0;

	registry_foreach_seat (&broker->registry, seat) {
		const char *name = broker->registry.seats[seat].name;

		if (!names_contain(names, name))
			continue;
		registry_foreach_socket (&broker->registry, seat, walk) {
			struct registry_place place;

			if (!holder_find(broker->holder, name, walk.cookie))
				continue;
			registry_walk_read(&broker->registry, &walk, &place);
			place_set_owner(&place.data, &request->identity);
			(void)registry_write_place(&broker->registry, &place);
		}
	}
	for (size_t i = 0; i < holder_count(broker->holder); i++)
		if (names_contain(names, holder_get(broker->holder, i)->name))
			holder_adopt(broker->holder, i, pid);
}

int request_claim(struct broker *broker, const struct intake_request *request, struct answer_source *answer,
	struct refusal *refusal)
{
	_cleanup_(claim_freep) struct claim *claim = calloc(1, sizeof(*claim));
	char name[NAME_LENGTH_MAX + 1];
	struct names names = {.n = 0};
	int r;

	if (!claim)
		return -ENOMEM;
	claim->broker = broker;
	r = names_read(request->message, 0, &names, refusal);
	for (size_t i = 0; !r && i < names.n; i++)
		r = named_rule_check_access(broker, names.items[i], &request->identity, refusal);
	names_sort(&names);
	for (size_t i = 0; !r && i < holder_count(broker->holder); i++)
		if (names_contain(&names, holder_get(broker->holder, i)->name))
			r = claim_socket(claim, holder_get(broker->holder, i));
	if (r)
		return r;
	if (!claim->n)
		return refuse(refusal, ENOENT,
			"nothing is held as '%s' (ENOENT); hand the sockets in with 'usherctl hand-in --hold' or usher_hold() first",
			names_text(request->message, name));
	if (request->pidfd >= 0) {
		r = registrants_watch_dup(
			broker->registrants, request->identity.pid, request->identity.uid, request->pidfd);
		if (r < 0)
			return r;
	}
	change_owner(broker, request, &names);
	*answer = (struct answer_source){
		.next = claim_next, .release = claim_release, .state = TAKE_PTR(claim)};
	return 0;
}
