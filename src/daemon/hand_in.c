/* SPDX-License-Identifier: BSD-3-Clause */

#include "hand_in.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../holder/store.h"
#include "../intake/inspect.h"
#include "../observe/observe.h"
#include "../util/text.h"
#include "../wire/protocol.h"
#include "names.h"
#include "place.h"
#include "tidy.h"

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

struct plan {
	struct broker *broker;
	struct intake_request *request;
	enum usher_via via;
	bool hold;
	struct candidate *candidates;
	size_t n;
};

static int find_rule(
	struct broker *broker, const char *name, const struct rule **ret, struct refusal *refusal)
{
	const struct rule *rule;

	if (!name_is_valid(name))
		return refuse(refusal, EINVAL, "'%s' is not a name (EINVAL); %s", name, NAME_RULE);
	rule = rule_set_find(broker->generation->rules, name);
	if (!rule)
		return refuse(refusal, ENOENT,
			"there is no rule '%s' (ENOENT); write %s/%s.rule and run 'usherctl reload'", name,
			broker->instance->rule_dirs[0], name);
	*ret = rule;
	return 0;
}

static int find_aims(const struct broker *broker, struct candidate *candidate, struct refusal *refusal)
{
	const struct socket_facts *facts = &candidate->facts;
	const int families[] = {AF_INET6, AF_INET};
	const bool serves[] = {facts->serves_ipv6, facts->serves_ipv4};

	for (size_t i = 0; i < 2; i++) {
		uint32_t seat = serves[i] ? generation_seat(broker->generation, candidate->rule,
						    facts->protocol, families[i])
					  : 0;

		if (seat)
			candidate->aims[candidate->n_aims++] = (struct aim){
				.seat = seat,
				.dual_stack = families[i] == AF_INET && facts->serves_ipv6,
			};
	}
	if (candidate->n_aims)
		return 0;
	return refuse(refusal, EPROTONOSUPPORT,
		"is a %s socket for %s, and the rule '%s' has no match for that (EPROTONOSUPPORT); add one "
		"with %s= to %s",
		facts->protocol == IPPROTO_UDP ? "UDP" : "TCP", facts->serves_ipv6 ? "IPv6" : "IPv4",
		candidate->rule->name, facts->protocol == IPPROTO_UDP ? "Datagram" : "Stream",
		candidate->rule->path);
}

static int examine(struct plan *plan, struct candidate *candidate, struct refusal *refusal)
{
	struct socket_facts *facts = &candidate->facts;
	int r;

	r = inspect_socket(candidate->fd, plan->broker->netns_cookie, facts, refusal);
	if (!r)
		r = access_check_bound(
			candidate->rule, facts->address_family, facts->address, facts->port, refusal);
	return r ? r : find_aims(plan->broker, candidate, refusal);
}

/* The number a client knows a socket by is for the wording of refusals only. */
static unsigned long socket_label(const struct intake_request *request, size_t index)
{
	const char *numbers = message_get(request->message, "FDS");
	char word[16];
	unsigned long number;

	if (numbers && names_nth(numbers, index, word, sizeof(word)) &&
		text_to_uint(word, 1U << 30, &number) == 0)
		return number;
	return index + 1;
}

static int refuse_socket(struct plan *plan, size_t index, struct refusal *refusal)
{
	struct refusal inner = *refusal;

	return refuse(refusal, inner.error, "socket %lu %s", socket_label(plan->request, index), inner.text);
}

static int examine_all(struct plan *plan, struct refusal *refusal)
{
	const struct intake_request *request = plan->request;
	const struct rule *checked = NULL;
	int r;

	for (size_t i = 0; i < plan->n; i++) {
		struct candidate *candidate = &plan->candidates[i];
		char name[NAME_LENGTH_MAX + 2];

		r = names_of_request(request->message, i, name, sizeof(name), refusal);
		if (!r)
			r = find_rule(plan->broker, name, &candidate->rule, refusal);
		if (!r && candidate->rule != checked)
			r = access_check(plan->broker->generation->access, candidate->rule,
				&request->identity, refusal);
		if (r)
			return r;
		checked = candidate->rule;
		candidate->fd = request->fds[i];
		r = examine(plan, candidate, refusal);
		if (r == REFUSED)
			return refuse_socket(plan, i, refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool find_place(const struct plan *plan, const struct candidate *candidate, const struct aim *aim,
	struct registry_place *ret)
{
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n = registry_read_places(&plan->broker->registry, aim->seat, places);

	for (unsigned i = 0; i < n; i++)
		if (places[i].data.cookie == candidate->facts.cookie) {
			*ret = places[i];
			return true;
		}
	return false;
}

static bool is_repeated(const struct plan *plan, const struct candidate *candidate)
{
	for (const struct candidate *other = plan->candidates; other < candidate; other++)
		if (other->rule == candidate->rule && other->facts.cookie == candidate->facts.cookie)
			return true;
	return false;
}

static int hold_socket(struct plan *plan, const struct candidate *candidate, struct refusal *refusal)
{
	/* nobody would tell the end of a process that is not watched */
	pid_t pid = registrants_is_watched(plan->broker->registrants, plan->request->identity.pid)
			    ? plan->request->identity.pid
			    : 0;
	int r = holder_dup(
		plan->broker->holder, candidate->rule->name, candidate->facts.cookie, candidate->fd, pid);

	if (r == HOLDER_FULL)
		return refuse(refusal, ENOSPC,
			"cannot be held: the service manager keeps %zu sockets for usherd and no more "
			"(ENOSPC); raise FileDescriptorStoreMax= and FDSTORE= of usherd.service",
			store_limit());
	return r;
}

static int stage_all(struct plan *plan, struct refusal *refusal)
{
	struct broker *broker = plan->broker;

	for (size_t i = 0; i < plan->n; i++) {
		struct candidate *candidate = &plan->candidates[i];
		int r = 0;

		for (size_t k = 0; k < candidate->n_aims && !is_repeated(plan, candidate); k++) {
			struct aim *aim = &candidate->aims[k];
			struct registry_place there;
			struct usher_place place;

			(void)tidy_seat(broker, aim->seat);
			if (find_place(plan, candidate, aim, &there))
				continue;
			place = place_make(&candidate->facts, &plan->request->identity, plan->via,
				(aim->dual_stack ? USHER_PLACE_DUAL_STACK : 0) |
					(plan->hold ? USHER_PLACE_HELD : 0));
			r = registry_stage(
				&broker->registry, aim->seat, candidate->fd, &place, &aim->slot, refusal);
			if (r)
				break;
			aim->staged = true;
		}
		if (!r && plan->hold &&
			!holder_find(broker->holder, candidate->rule->name, candidate->facts.cookie)) {
			r = hold_socket(plan, candidate, refusal);
			candidate->held_now = r == 0;
		}
		if (r == REFUSED)
			return refuse_socket(plan, i, refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

static void undo(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct candidate *candidate = &plan->candidates[i];

		for (size_t k = 0; k < candidate->n_aims; k++)
			if (candidate->aims[k].staged)
				registry_unstage(&plan->broker->registry, candidate->aims[k].seat,
					candidate->aims[k].slot);
		if (candidate->held_now)
			(void)holder_drop(
				plan->broker->holder, candidate->rule->name, candidate->facts.cookie);
	}
}

/* In the IPv4 seat a dual-stack socket comes after the IPv4 sockets of the same process, before everybody else's. */
static unsigned rank_of(const struct plan *plan, const struct aim *aim)
{
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n, rank = 0;

	if (!aim->dual_stack)
		return 0;
	n = registry_read_places(&plan->broker->registry, aim->seat, places);
	while (rank < n && !(places[rank].data.flags & USHER_PLACE_DUAL_STACK) &&
		places[rank].data.pid == (uint32_t)plan->request->identity.pid)
		rank++;
	return rank;
}

/* What is held for a process that has gone, and was not claimed, makes way: it would only fill its backlog. */
static void drop_orphans(struct plan *plan, const struct candidate *candidate, uint32_t seat)
{
	struct broker *broker = plan->broker;
	struct registry_place places[USHER_PLACES_MAX];
	unsigned n = registry_read_places(&broker->registry, seat, places);

	for (unsigned i = 0; i < n; i++) {
		const struct holder_entry *entry =
			holder_find(broker->holder, candidate->rule->name, places[i].data.cookie);

		if (!entry || entry->pid || entry->cookie == candidate->facts.cookie)
			continue;
		(void)holder_drop(broker->holder, entry->name, entry->cookie);
		places[i].data.flags &= (uint8_t)~USHER_PLACE_HELD;
		(void)registry_write_place(&broker->registry, &places[i]);
	}
	(void)tidy_seat(broker, seat);
}

/* A socket that sat there already keeps its rank; only whose it is, and whether it is held, may change. */
static void commit_kept(struct plan *plan, const struct candidate *candidate, const struct aim *aim)
{
	struct registry_place place;

	if (!find_place(plan, candidate, aim, &place))
		return;
	place_set_owner(&place.data, &plan->request->identity);
	if (plan->hold)
		place.data.flags |= USHER_PLACE_HELD;
	(void)registry_write_place(&plan->broker->registry, &place);
}

/* Return: whether the socket is new in any of its seats. */
static bool commit(struct plan *plan, const struct candidate *candidate)
{
	struct refusal refusal;
	bool added = false;

	for (size_t k = 0; k < candidate->n_aims; k++) {
		const struct aim *aim = &candidate->aims[k];

		if (!aim->staged) {
			commit_kept(plan, candidate, aim);
			continue;
		}
		registry_commit(
			&plan->broker->registry, aim->seat, aim->slot, candidate->fd, rank_of(plan, aim));
		drop_orphans(plan, candidate, aim->seat);
		added = true;
	}
	if (plan->hold)
		(void)hold_socket(
			plan, candidate, &refusal); /* held already: only the process may be another one */
	return added;
}

static void report(const struct plan *plan, const struct candidate *candidate)
{
	const struct aim *aim = &candidate->aims[0];
	const struct usher_seat *seat = &plan->broker->registry.seats[aim->seat];
	const struct usher_place place =
		place_make(&candidate->facts, &plan->request->identity, plan->via, 0);
	struct observed about = place_observed(plan->broker, seat, &place);
	char address[ENDPOINT_TEXT_MAX];

	about.uid = plan->request->identity.uid;
	about.by_client = true;
	about.pid = plan->request->identity.pid;
	observe(OBSERVE_HANDED_IN, &about, "'%s': the %s socket at %s is handed in%s and serves", seat->name,
		seat->protocol == IPPROTO_UDP ? "UDP" : "TCP", place_address(&place, address),
		plan->hold ? ", held," : "");
}

static int check_count(const struct intake_request *request, struct refusal *refusal)
{
	if (!request->n_fds)
		return refuse(refusal, EINVAL,
			"no socket came with the request (EINVAL); send the listening sockets with "
			"SCM_RIGHTS");
	if (request->n_fds > PROTOCOL_HAND_IN_MAX)
		return refuse(refusal, E2BIG,
			"%zu sockets came in one request, which takes %u (E2BIG); send several",
			request->n_fds, PROTOCOL_HAND_IN_MAX);
	return names_check_count(request->message, request->n_fds, refusal);
}

int hand_in(struct broker *broker, struct intake_request *request, const struct hand_in_manner *manner,
	struct writer *answer, struct refusal *refusal)
{
	_cleanup_free_ struct candidate *candidates = NULL;
	struct plan plan = {
		.broker = broker,
		.request = request,
		.via = manner->via,
		.hold = manner->hold,
		.n = request->n_fds,
	};
	size_t added = 0;
	int r;

	r = check_count(request, refusal);
	if (r)
		return r;
	candidates = calloc(plan.n, sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	plan.candidates = candidates;
	r = examine_all(&plan, refusal);
	if (r)
		return r;
	if (request->pidfd >= 0) {
		r = registrants_watch_dup(
			broker->registrants, request->identity.pid, request->identity.uid, request->pidfd);
		if (r < 0)
			return r;
	}
	r = stage_all(&plan, refusal);
	if (r) {
		undo(&plan);
		return r;
	}
	/* the last socket first, so that the first one of the packet ends up in front */
	for (size_t i = plan.n; i-- > 0;)
		if (commit(&plan, &candidates[i])) {
			report(&plan, &candidates[i]);
			added++;
		}
	writer_put(answer, "OK", "1");
	writer_put(answer, "ADDED", "%zu", added);
	writer_put(answer, "KEPT", "%zu", plan.n - added);
	return 0;
}
