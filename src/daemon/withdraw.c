/* SPDX-License-Identifier: BSD-3-Clause */

/* The requests withdraw, evict and claim: what was handed in, or let in, is taken out, or given back. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../observe/observe.h"
#include "../util/array.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../wire/names.h"
#include "early.h"
#include "place.h"
#include "request.h"

/* Sockets in one packet of an answer: so many names of the greatest length fit into its text. */
#define CLAIM_BATCH 32U

/* A name whose rule has gone is root's: nobody else can be told from a stranger. */
static int check_access(
	struct broker *broker, const char *name, const struct identity *identity, struct refusal *refusal)
{
	const struct rule *rule;

	if (!name_is_valid(name))
		return refuse(refusal, EINVAL, "'%s' is not a name (EINVAL); %s", name, NAME_RULE);
	rule = rule_set_find(broker->generation->rules, name);
	if (rule)
		return access_check(broker->generation->access, rule, identity, refusal);
	if (identity->uid)
		return refuse(refusal, ENOENT,
			"there is no rule '%s' (ENOENT); write %s/%s.rule and run 'usherctl reload'", name,
			broker->instance->rule_dirs[0], name);
	return 0;
}

/* ---- withdraw */

static int read_cookies(const struct intake_request *request, uint64_t *ret, struct refusal *refusal)
{
	for (size_t i = 0; i < request->n_fds; i++) {
		socklen_t size = sizeof(ret[i]);

		if (getsockopt(request->fds[i], SOL_SOCKET, SO_COOKIE, &ret[i], &size) < 0)
			return refuse(refusal, errno,
				"descriptor %zu is not a socket (%s); send what was handed in", i + 1,
				errno_name(errno));
	}
	return 0;
}

static bool is_wanted(const uint64_t *cookies, size_t n, uint64_t cookie)
{
	for (size_t i = 0; i < n; i++)
		if (cookies[i] == cookie)
			return true;
	return !n;
}

/* A dual-stack socket sits in two seats, and counts once. */
static bool count_once(uint64_t **seen, size_t *n, uint64_t cookie)
{
	if ((*n && is_wanted(*seen, *n, cookie)) || ARRAY_RESERVE(*seen, *n) < 0)
		return false;
	(*seen)[(*n)++] = cookie;
	return true;
}

static void report_withdrawal(struct broker *broker, uint32_t seat, const struct usher_place *place,
	const struct identity *identity)
{
	struct observed about = place_observed(broker, &broker->registry.seats[seat], place);
	char address[ENDPOINT_TEXT_MAX];

	about.uid = identity->uid;
	about.by_client = true;
	observe(OBSERVE_WITHDRAWN, &about, "'%s': the socket at %s is withdrawn", about.name,
		place_address(place, address));
}

/* What Listen=kernel let in and nobody has handed in yet. */
static void withdraw_early(struct broker *broker, uint32_t seat, const struct intake_request *request,
	const uint64_t *wanted, uint64_t **seen, size_t *n)
{
	const struct usher_place place = {.cookie = registry_read_early(&broker->registry, seat)};
	const char *name = broker->registry.seats[seat].name;

	if (!place.cookie || !is_wanted(wanted, request->n_fds, place.cookie) ||
		!early_take_out(broker, name, place.cookie))
		return;
	if (count_once(seen, n, place.cookie))
		report_withdrawal(broker, seat, &place, &request->identity);
}

int request_withdraw(
	struct broker *broker, struct intake_request *request, struct writer *answer, struct refusal *refusal)
{
	const char *name = message_get(request->message, KEY_NAME);
	uint64_t cookies[PACKET_FDS_MAX];
	_cleanup_free_ uint64_t *seen = NULL;
	size_t n = 0;
	int r;

	if (!name)
		return refuse(refusal, EINVAL, "the request has no name (EINVAL); send NAME=");
	r = check_access(broker, name, &request->identity, refusal);
	if (!r)
		r = read_cookies(request, cookies, refusal);
	if (r)
		return r;
	for (uint32_t seat = 1; seat < USHER_SEATS_MAX; seat++) {
		struct registry_place places[USHER_PLACES_MAX];
		unsigned n_places;

		if (!broker->registry.seats[seat].used || strcmp(broker->registry.seats[seat].name, name))
			continue;
		n_places = registry_read_places(&broker->registry, seat, places);
		for (unsigned i = 0; i < n_places; i++) {
			if (!is_wanted(cookies, request->n_fds, places[i].data.cookie))
				continue;
			registry_remove(&broker->registry, seat, places[i].key.slot);
			if (count_once(&seen, &n, places[i].data.cookie))
				report_withdrawal(broker, seat, &places[i].data, &request->identity);
		}
		withdraw_early(broker, seat, request, cookies, &seen, &n);
	}
	for (size_t i = 0; i < n; i++)
		(void)holder_drop(broker->holder, name, seen[i]);
	if (!n)
		return refuse(refusal, ENOENT,
			"%s is handed in as '%s' (ENOENT); 'usherctl list' shows what is",
			request->n_fds ? "no such socket" : "nothing", name);
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_WITHDRAWN, "%zu", n);
	return 0;
}

/* ---- evict */

/* Hexadecimal, as the listing has it. */
static bool parse_cookie(const char *text, uint64_t *ret)
{
	size_t length = strspn(text, "0123456789abcdef");

	if (!length || length > 16 || text[length])
		return false;
	*ret = strtoull(text, NULL, 16);
	return *ret != 0;
}

int request_evict(
	struct broker *broker, const struct message *message, struct writer *answer, struct refusal *refusal)
{
	const char *name = message_get(message, KEY_NAME), *cookie = message_get(message, KEY_COOKIE),
		   *reason = message_get(message, KEY_REASON);
	uint64_t value;

	if (!name || !cookie || !parse_cookie(cookie, &value))
		return refuse(refusal, EINVAL,
			"the request does not say which socket of which name (EINVAL); send NAME= and COOKIE=, hexadecimal as in the listing");
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_EVICTED, "%u",
		early_evict(broker, name, value, reason ? reason : "no reason was given"));
	return 0;
}

/* ---- claim */

struct claim {
	struct {
		char name[NAME_LENGTH_MAX + 1];
		int fd;
	} * items;
	size_t n, sent;
};

static void claim_release(void *state)
{
	struct claim *claim = state;

	for (size_t i = 0; i < claim->n; i++)
		closep(&claim->items[i].fd);
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
	strcpy(claim->items[claim->n++].name, entry->name);
	return 0;
}

static bool names_contain(const struct message *message, const char *wanted)
{
	const char *name = message_get(message, KEY_NAME), *names = message_get(message, KEY_NAMES);
	char word[NAME_LENGTH_MAX + 2];

	if (name)
		return !strcmp(name, wanted);
	for (size_t i = 0; names_nth(names, i, word, sizeof(word)); i++)
		if (!strcmp(word, wanted))
			return true;
	return false;
}

/* Who claims a socket is who serves now. */
static void change_owner(struct broker *broker, const struct intake_request *request)
{
	pid_t pid = registrants_is_watched(broker->registrants, request->identity.pid) ? request->identity.pid
										       : 0;

	for (uint32_t seat = 1; seat < USHER_SEATS_MAX; seat++) {
		struct registry_place places[USHER_PLACES_MAX];
		const char *name = broker->registry.seats[seat].name;
		unsigned n;

		if (!broker->registry.seats[seat].order || !names_contain(request->message, name))
			continue;
		n = registry_read_places(&broker->registry, seat, places);
		for (unsigned i = 0; i < n; i++) {
			if (!holder_find(broker->holder, name, places[i].data.cookie))
				continue;
			place_set_owner(&places[i].data, &request->identity);
			(void)registry_write_place(&broker->registry, &places[i]);
		}
	}
	for (size_t i = 0; i < holder_count(broker->holder); i++)
		if (names_contain(request->message, holder_get(broker->holder, i)->name))
			holder_adopt(broker->holder, i, pid);
}

int request_claim(struct broker *broker, struct intake_request *request, struct session_source *answer,
	struct refusal *refusal)
{
	_cleanup_(claim_freep) struct claim *claim = calloc(1, sizeof(*claim));
	char name[NAME_LENGTH_MAX + 2];
	int r;

	if (!claim)
		return -ENOMEM;
	r = names_check_count(request->message, 0, refusal);
	for (size_t i = 0; !r && (i == 0 || (message_get(request->message, KEY_NAMES) &&
						    names_nth(message_get(request->message, KEY_NAMES), i,
							    name, sizeof(name))));
		i++) {
		r = names_of_request(request->message, i, name, sizeof(name), refusal);
		if (!r)
			r = check_access(broker, name, &request->identity, refusal);
	}
	for (size_t i = 0; !r && i < holder_count(broker->holder); i++)
		if (names_contain(request->message, holder_get(broker->holder, i)->name))
			r = claim_socket(claim, holder_get(broker->holder, i));
	if (r)
		return r;
	if (!claim->n)
		return refuse(refusal, ENOENT,
			"nothing is held as '%s' (ENOENT); hand the sockets in with hold first ('usherctl hand-in --hold')",
			names_text(request->message, name));
	if (request->pidfd >= 0) {
		r = registrants_watch_dup(
			broker->registrants, request->identity.pid, request->identity.uid, request->pidfd);
		if (r < 0)
			return r;
	}
	change_owner(broker, request);
	*answer = (struct session_source){
		.next = claim_next, .release = claim_release, .state = TAKE_PTR(claim)};
	return 0;
}
