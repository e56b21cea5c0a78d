/* SPDX-License-Identifier: BSD-3-Clause */
#include "offer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "../util/device.h"
#include "../util/transport.h"
#include "named_rule.h"

static int find_aims(const struct broker *broker, struct offered_socket *socket, struct refusal *refusal)
{
	const struct socket_facts *facts = &socket->facts;
	const int families[] = {AF_INET6, AF_INET};
	const bool serves[] = {facts->serves_ipv6, facts->serves_ipv4};

	for (size_t i = 0; i < 2; i++) {
		uint32_t seat = serves[i] ? generation_seat(broker->generation, socket->rule, facts->protocol,
						    families[i])
					  : 0;

		if (seat)
			socket->aims[socket->n_aims++] = (struct aim){
				.seat = seat,
				.dual_stack = families[i] == AF_INET && facts->serves_ipv6,
			};
	}
	if (socket->n_aims)
		return 0;
	return refuse(refusal, EPROTONOSUPPORT,
		"is a %s socket for %s, and the rule '%s' has no match for that (EPROTONOSUPPORT); add one with %s= to %s",
		protocol_name(facts->protocol), family_name(facts->serves_ipv6 ? AF_INET6 : AF_INET),
		socket->rule->name, rule_match_key(facts->protocol), socket->rule->path);
}

/*
 * A discovered socket must not come from another user: anybody could pass a descriptor to the daemon, and it would be
 * served.
 */
static int check_maker(const struct offer *offer, const struct sight *sight, struct refusal *refusal)
{
	if (!offer->request->found || sight->maker == 0 || sight->maker == offer->request->owner->uid)
		return 0;
	return refuse(refusal, EACCES,
		"was created by uid %u and passed on to process %d, uid %u (EACCES); it must be created by the user of that process or by root",
		sight->maker, (int)offer->request->owner->pid, offer->request->owner->uid);
}

static int examine(struct offer *offer, size_t index, struct refusal *refusal)
{
	const struct parcel *parcel = offer->request->parcel;
	const struct sight *sight = &parcel->sights[index];
	struct offered_socket *socket = &offer->sockets[index];
	struct socket_facts *facts = &socket->facts;
	int r = sight->result;

	*facts = sight->facts;
	socket->maker = sight->maker;
	if (r == REFUSED)
		*refusal = parcel->reason; /* of the first one, and this is the first one */
	if (!r)
		r = check_maker(offer, sight, refusal);
	if (!r)
		r = access_check_bound(
			socket->rule, facts->address_family, facts->address, facts->port, refusal);
	if (!r)
		r = device_refuse_in_vrf(facts->device, refusal);
	return r ? r : find_aims(offer->broker, socket, refusal);
}

int offer_refuse(const struct offer *offer, size_t index, struct refusal *refusal)
{
	struct refusal inner = *refusal;

	return refuse(
		refusal, inner.error, "socket %lu %s", offer->request->sockets[index].number, inner.text);
}

static int check_owner(const struct offer *offer, const struct rule *rule, struct refusal *refusal)
{
	const struct access_table *access = offer->broker->generation->access;

	return offer->request->found ? access_check_owner(access, rule, offer->request->owner, NULL, refusal)
				     : access_check(access, rule, offer->request->owner, refusal);
}

static int examine_all(struct offer *offer, struct refusal *refusal)
{
	const struct rule *checked = NULL;

	for (size_t i = 0; i < offer->request->n; i++) {
		const struct offer_socket *offered = &offer->request->sockets[i];
		struct offered_socket *socket = &offer->sockets[i];
		int r;

		r = named_rule_find(offer->broker, offered->name, &socket->rule, refusal);
		if (!r && (i == 0 || socket->rule != checked))
			r = check_owner(offer, socket->rule, refusal);
		if (r)
			return r;
		checked = socket->rule;
		r = examine(offer, i, refusal);
		if (r == REFUSED)
			return offer_refuse(offer, i, refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

int offer_read(struct broker *broker, const struct offer_request *request, struct offer *offer,
	struct refusal *refusal)
{
	*offer = (struct offer){.broker = broker, .request = request};
	offer->sockets = calloc(request->n, sizeof(*offer->sockets));
	if (!offer->sockets)
		return -ENOMEM;
	offer->n = request->n;
	return examine_all(offer, refusal);
}

void offer_deinit(struct offer *offer)
{
	free(offer->sockets);
}
