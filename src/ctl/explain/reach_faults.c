/* SPDX-License-Identifier: BSD-3-Clause */

#include "reach_faults.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "../../util/transport.h"
#include "../host/local_route.h"

/* The table local has the address, but a rule before it decides. */
static bool is_led_away(const struct asked *asked, const struct reach *reach)
{
	const struct route_entry *entry =
		routing_lookup(&reach->routing, RT_TABLE_LOCAL, asked->family, asked->local);

	return entry && entry->type == RTN_LOCAL && reach->outcome.not_local;
}

static void find_leading_away(const struct evidence *evidence, struct findings *findings)
{
	const struct policy_rule *rule = evidence->host->reach.outcome.not_local;
	char address[INET6_ADDRSTRLEN], text[POLICY_RULE_TEXT_MAX];
	struct finding *finding;

	(void)address_format(evidence->asked->family, evidence->asked->local, address);
	finding = findings_add(findings, FINDING_FAIL, "no-route",
		"%s is not a local address for this packet: the routing rule '%s' leads it elsewhere",
		address, policy_rule_format(rule, text));
	finding_remedy(finding, "if this host should serve it, narrow that rule");
}

static void find_no_route(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct reach *reach = &evidence->host->reach;
	const struct asked *asked = evidence->asked;
	char address[INET6_ADDRSTRLEN];
	struct local_advice advice;
	struct finding *finding;

	(void)address_format(asked->family, asked->local, address);
	finding = findings_add(findings, FINDING_FAIL, "no-route",
		"%s is not a local address: packets to it reach no socket here, and %s", address,
		reach->route == ROUTE_NONE ? "there is no route to it" : "the route leads to another host");
	local_route_advise(reach->routing_unknown.error ? NULL : &reach->routing,
		explanation->n_covers ? &explanation->covers[0].match.prefix : NULL, asked->family,
		asked->local, &advice);
	finding_remedy(finding, "%s", advice.text);
	if (*advice.command)
		finding_command(finding, "%s", advice.command);
}

static void find_dropped(const struct evidence *evidence, struct findings *findings)
{
	const struct asked *asked = evidence->asked;
	char source[INET6_ADDRSTRLEN], device[IF_NAMESIZE] = "?";
	struct finding *finding;

	(void)address_format(asked->family, asked->remote, source);
	(void)if_indextoname(asked->device, device);
	finding = findings_add(findings, FINDING_FAIL, "source-dropped",
		"the kernel drops packets from %s that come by %s: %s is an address of this host, or the reverse path filter of %s expects it by another device",
		source, device, source, device);
	finding_remedy(finding, "see which device leads to it, and net.ipv4.conf.%s.rp_filter:", device);
	finding_command(finding, "ip route get %s", source);
}

/* ---- routing rules */

/* The question again, with what the rule asks for */
static void suggest_question(
	const struct evidence *evidence, const struct policy_outcome *outcome, struct finding *finding)
{
	const struct policy_rule *rule = outcome->open;
	const struct asked *asked = evidence->asked;
	char device[IF_NAMESIZE + 16] = "", mark[32] = "", name[IF_NAMESIZE];
	bool from = rule->from.family != AF_UNSPEC || rule->source_ports[1];

	if (asked->device && if_indextoname(asked->device, name))
		(void)snprintf(device, sizeof(device), " --device %s", name);
	else if (outcome->vrf && if_indextoname(outcome->vrf, name))
		(void)snprintf(device, sizeof(device), " --device %s", name);
	else if (*rule->input)
		(void)snprintf(device, sizeof(device), " --device %s", rule->input);
	if (asked->has_mark)
		(void)snprintf(mark, sizeof(mark), " --mark 0x%x", asked->mark);
	else if (rule->has_mark)
		(void)snprintf(mark, sizeof(mark), " --mark 0x%x", rule->mark);
	finding_remedy(finding, "if the packet is such a one, ask for it:");
	finding_command(finding, "usherctl explain %s %s%s%s%s%s", protocol_word(asked->protocol),
		asked->text, *asked->from || from ? " --from " : "",
		*asked->from ? asked->from
		: from	     ? "ADDRESS:PORT"
			     : "",
		device, mark);
}

static void find_open_rule(const struct evidence *evidence, struct findings *findings)
{
	const struct policy_outcome *outcome = &evidence->host->reach.outcome;
	const struct policy_rule *rule = outcome->open;
	char address[INET6_ADDRSTRLEN], text[POLICY_RULE_TEXT_MAX], vrf[IF_NAMESIZE + 32] = "",
										      name[IF_NAMESIZE];
	struct finding *finding;

	(void)address_format(evidence->asked->family, evidence->asked->local, address);
	if (outcome->vrf && if_indextoname(outcome->vrf, name))
		(void)snprintf(vrf, sizeof(vrf), " by a device in VRF %s", name);
	finding = findings_add(findings, FINDING_NOTE, "routing-rule",
		outcome->local == rule
			? "%s is local only for packets that the routing rule '%s' fits%s; whether this packet is one of them was not looked at"
			: "%s is not local for packets that the routing rule '%s' fits%s; whether this packet is one of them was not looked at",
		address, policy_rule_format(rule, text), vrf);
	suggest_question(evidence, outcome, finding);
}

/* ---- the reply */

/* Can the socket that gets the packet reply from an address that is not in the table local? */
static bool is_served_transparently(const struct evidence *evidence)
{
	const struct explained_place *chosen = explanation_chosen(evidence->explanation);
	const struct listener *taker = host_view_taker(evidence->host);

	return chosen ? evidence_place_is_transparent(evidence, chosen) : taker && taker->socket->transparent;
}

static void find_no_reply(const struct evidence *evidence, struct findings *findings)
{
	const struct reach *reach = &evidence->host->reach;
	const struct asked *asked = evidence->asked;
	char address[INET6_ADDRSTRLEN], client[INET6_ADDRSTRLEN];
	struct finding *finding;

	if (reach->reply != ROUTE_NONE || reach_is_away(reach))
		return;
	(void)address_format(asked->family, asked->local, address);
	(void)address_format(asked->family, asked->remote, client);
	if (reach->reply_from_any == ROUTE_NONE) {
		finding = findings_add(findings, FINDING_WARN, "no-reply",
			"there is no route to %s: replies cannot be sent, and the client gets no answer",
			client);
		finding_remedy(finding, "add a route to it, or a default route");
		return;
	}
	if (is_served_transparently(evidence))
		return;
	finding = findings_add(findings, FINDING_WARN, "no-reply",
		"the kernel sends no reply from %s unless the socket has IP_TRANSPARENT: the address is local by a routing rule, but not in the table local",
		address);
	finding_remedy(finding,
		"set IP_TRANSPARENT on the socket of the service (Transparent=yes in a socket unit), or make the address local for every packet:");
	finding_command(finding, "ip route add local %s/%u dev lo", address, address_bits(asked->family));
}

void reach_faults_find(const struct evidence *evidence, struct findings *findings)
{
	const struct reach *reach = &evidence->host->reach;
	char address[INET6_ADDRSTRLEN];

	(void)address_format(evidence->asked->family, evidence->asked->local, address);
	if (reach->outcome.open)
		find_open_rule(evidence, findings);
	else if (reach_is_to_many(reach))
		(void)findings_add(findings, FINDING_FAIL, "multicast",
			"%s is a %s address: the kernel gives the packet to every socket bound for it, and applies no rule",
			address, reach->route == ROUTE_MULTICAST ? "multicast" : "broadcast");
	else if (reach->route == ROUTE_DROPPED)
		find_dropped(evidence, findings);
	else if (reach_is_away(reach) && is_led_away(evidence->asked, reach))
		find_leading_away(evidence, findings);
	else if (reach_is_away(reach) && !evidence->passage->sent)
		find_no_route(evidence, findings);
	find_no_reply(evidence, findings);
	if (reach->route_unknown.error)
		(void)findings_add(findings, FINDING_WARN, "route-unknown", "%s", reach->route_unknown.text);
	else if (reach->routing_unknown.error)
		(void)findings_add(
			findings, FINDING_WARN, "route-unknown", "%s", reach->routing_unknown.text);
}
