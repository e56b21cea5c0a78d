/* SPDX-License-Identifier: BSD-3-Clause */
#include "reach.h"

#include <errno.h>

#define LOOPBACK                                                                                             \
	1 /* the index of lo: packets that come by it left this host, and keep the route with which they left */

void reach_deinit(struct reach *reach)
{
	routing_deinit(&reach->routing);
	policy_deinit(&reach->policy);
	*reach = REACH_NULL;
}

bool reach_is_away(const struct reach *reach)
{
	return reach->route == ROUTE_ELSEWHERE || reach->route == ROUTE_NONE || reach->route == ROUTE_DROPPED;
}

bool reach_is_to_many(const struct reach *reach)
{
	return reach->route == ROUTE_BROADCAST || reach->route == ROUTE_MULTICAST;
}

/* ---- the packet */

static int ask_route(const struct asked *asked, struct reach *reach)
{
	struct route_question question = {
		.family = asked->family,
		.destination = asked->local,
		.protocol = asked->protocol,
		.port = asked->port,
		.mark = asked->mark,
	};
	enum route output;
	int r = route_ask(&question, &output, &reach->route_unknown);

	if (r)
		return r;
	reach->route = output;
	if (!asked->device || asked->device == LOOPBACK || !asked->has_remote || reach_is_to_many(reach))
		return 0;
	/* the kernel takes a device only together with a source */
	question.source = asked->remote;
	question.source_port = asked->remote_port;
	question.device = asked->device;
	r = route_ask(&question, &reach->route, &reach->route_unknown);
	/* a host that does not forward has no route for packets to others, and it is better to say where they would go */
	if (!r && reach->route == ROUTE_NONE && output == ROUTE_ELSEWHERE)
		reach->route = ROUTE_ELSEWHERE;
	return r;
}

/* The kernel has answered for one packet. Do the rules answer alike for all that the question may mean? */
static int ask_rules(const struct asked *asked, struct reach *reach)
{
	const struct policy_packet packet = {
		.family = asked->family,
		.destination = asked->local,
		.source = asked->has_remote ? asked->remote : NULL,
		.protocol = asked->protocol,
		.port = asked->port,
		.source_port = asked->remote_port,
		.device = asked->device,
		.mark = asked->mark,
		.has_mark = asked->has_mark,
	};
	int r = policy_decide(
		&reach->policy, &reach->routing, &packet, &reach->outcome, &reach->routing_unknown);

	if (r || reach->outcome.open || reach->route == ROUTE_DROPPED || reach_is_to_many(reach))
		return r;
	/* the kernel was asked with all that is known */
	if (asked->device && asked->device != LOOPBACK && asked->has_remote)
		return 0;
	if (reach->outcome.local)
		reach->route = ROUTE_LOCAL;
	else if (reach->route == ROUTE_LOCAL)
		reach->route = ROUTE_ELSEWHERE;
	return 0;
}

static int look_at_rules(const struct asked *asked, struct reach *reach)
{
	int r = policy_read(asked->family, &reach->policy, &reach->routing_unknown);

	if (!r && (reach_is_away(reach) || !policy_is_plain(&reach->policy)))
		r = routing_read(&reach->routing, &reach->routing_unknown);
	if (!r && !policy_is_plain(&reach->policy))
		r = ask_rules(asked, reach);
	if (!r)
		reach->routing_unknown.error = 0;
	return r;
}

/* ---- the reply */

static int ask_reply(const struct asked *asked, struct reach *reach)
{
	struct route_question question = {
		.family = asked->family,
		.destination = asked->remote,
		.source = asked->local,
		.protocol = asked->protocol,
		.port = asked->remote_port,
		.source_port = asked->port,
	};
	int r = route_ask(&question, &reach->reply, &reach->route_unknown);

	question.source = NULL;
	return r ? r : route_ask(&question, &reach->reply_from_any, &reach->route_unknown);
}

int reach_read(const struct asked *asked, struct reach *ret)
{
	int r;

	*ret = REACH_NULL;
	r = ask_route(asked, ret);
	if (!r && asked->has_remote && !reach_is_to_many(ret))
		r = ask_reply(asked, ret);
	if (!r)
		ret->route_unknown.error = 0;
	if (r < 0)
		return r;
	r = look_at_rules(asked, ret);
	return r < 0 ? r : 0;
}
