/* SPDX-License-Identifier: BSD-3-Clause */
#include "offer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/text.h"
#include "../util/transport.h"
#include "../wire/names.h"
#include "../wire/protocol.h"

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
		"is a %s socket for %s, and the rule '%s' has no match for that (EPROTONOSUPPORT); add one with %s= to %s",
		protocol_name(facts->protocol), family_name(facts->serves_ipv6 ? AF_INET6 : AF_INET),
		candidate->rule->name, facts->protocol == IPPROTO_UDP ? "Datagram" : "Stream",
		candidate->rule->path);
}

/*
 * What somebody else made and passed on is not the owner's to offer: whoever lets a daemon have a descriptor of his would
 * have it served.
 */
static int check_maker(const struct offer *offer, const struct candidate *candidate, struct refusal *refusal)
{
	struct stat st;

	if (!offer->found)
		return 0;
	if (fstat(candidate->fd, &st) < 0)
		return -errno;
	if (st.st_uid == 0 || st.st_uid == offer->owner->uid)
		return 0;
	return refuse(refusal, EACCES,
		"was made by uid %u and passed on to process %d, uid %u (EACCES); a daemon is found by sockets that it or root made",
		st.st_uid, (int)offer->owner->pid, offer->owner->uid);
}

static int examine(struct offer *offer, struct candidate *candidate, struct refusal *refusal)
{
	struct socket_facts *facts = &candidate->facts;
	int r;

	r = inspect_socket(candidate->fd, offer->broker->netns_cookie, facts, refusal);
	if (!r)
		r = check_maker(offer, candidate, refusal);
	if (!r)
		r = access_check_bound(
			candidate->rule, facts->address_family, facts->address, facts->port, refusal);
	return r ? r : find_aims(offer->broker, candidate, refusal);
}

/* The number a client knows a socket by is for the wording of refusals only. */
static unsigned long socket_label(const struct intake_request *request, size_t index)
{
	const char *numbers = message_get(request->message, KEY_FDS);
	char word[16];
	unsigned long number;

	if (numbers && names_nth(numbers, index, word, sizeof(word)) &&
		text_to_uint(word, 1U << 30, &number) == 0)
		return number;
	return index + 1;
}

int offer_refuse(const struct offer *offer, size_t index, struct refusal *refusal)
{
	struct refusal inner = *refusal;

	return refuse(refusal, inner.error, "socket %lu %s", socket_label(offer->request, index), inner.text);
}

static int check_owner(const struct offer *offer, const struct rule *rule, struct refusal *refusal)
{
	const struct access_table *access = offer->broker->generation->access;

	return offer->found ? access_check_owner(access, rule, offer->owner, NULL, refusal)
			    : access_check(access, rule, offer->owner, refusal);
}

static int examine_all(struct offer *offer, struct refusal *refusal)
{
	const struct intake_request *request = offer->request;
	const struct rule *checked = NULL;
	int r;

	for (size_t i = 0; i < offer->n; i++) {
		struct candidate *candidate = &offer->candidates[i];
		char name[NAME_LENGTH_MAX + 2];

		r = names_of_request(request->message, i, name, sizeof(name), refusal);
		if (!r)
			r = find_rule(offer->broker, name, &candidate->rule, refusal);
		if (!r && candidate->rule != checked)
			r = check_owner(offer, candidate->rule, refusal);
		if (r)
			return r;
		checked = candidate->rule;
		candidate->fd = request->fds[i];
		r = examine(offer, candidate, refusal);
		if (r == REFUSED)
			return offer_refuse(offer, i, refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- of whom, and how many */

static int take_owner(struct offer *offer, struct intake_request *request, struct refusal *refusal)
{
	const char *owner = message_get(request->message, KEY_OWNER);

	if (strcmp(owner, OWNER_PIDFD) != 0)
		return refuse(refusal, EINVAL,
			"OWNER=%s is not known (EINVAL); it is OWNER=pidfd, with a pidfd as the last descriptor",
			owner);
	if (offer->via != USHER_VIA_DISCOVERED)
		return refuse(refusal, EINVAL,
			"OWNER= goes with VIA=discover only (EINVAL); who has the sockets himself hands them in himself");
	if (offer->hold)
		return refuse(refusal, EINVAL,
			"OWNER= does not go with 'hold' (EINVAL); what is found ends with its process, so ask for 'hand-in'");
	if (offer->n < 2)
		return refuse(refusal, EINVAL,
			"%zu descriptors came with OWNER=pidfd (EINVAL); send the listening sockets and, behind them, the pidfd of the process that has them open",
			offer->n);
	return owner_take(&request->fds[--offer->n], &offer->process, refusal);
}

static int check_count(const struct offer *offer, struct refusal *refusal)
{
	if (!offer->n)
		return refuse(refusal, EINVAL,
			"no socket came with the request (EINVAL); send the listening sockets with SCM_RIGHTS");
	if (offer->n > PROTOCOL_HAND_IN_MAX)
		return refuse(refusal, E2BIG,
			"%zu sockets came in one request, which takes %u (E2BIG); send several", offer->n,
			PROTOCOL_HAND_IN_MAX);
	return names_check_count(offer->request->message, offer->n, refusal);
}

int offer_read(struct broker *broker, struct intake_request *request, const struct hand_in_manner *manner,
	struct offer *offer, struct refusal *refusal)
{
	int r = 0;

	*offer = (struct offer){
		.broker = broker,
		.request = request,
		.owner = &request->identity,
		.pidfd = request->pidfd,
		.found = message_get(request->message, KEY_OWNER),
		.via = manner->via,
		.hold = manner->hold,
		.n = request->n_fds,
		.process = OWNER_NULL,
	};
	if (offer->found) {
		r = take_owner(offer, request, refusal);
		offer->owner = &offer->process.identity;
		offer->pidfd = offer->process.pidfd;
	}
	if (!r)
		r = check_count(offer, refusal);
	if (r)
		return r;
	offer->candidates = calloc(offer->n, sizeof(*offer->candidates));
	return offer->candidates ? examine_all(offer, refusal) : -ENOMEM;
}

void offer_deinit(struct offer *offer)
{
	free(offer->candidates);
	owner_deinit(&offer->process);
}
