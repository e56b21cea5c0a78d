/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/macro.h"
#include "../../util/transport.h"
#include "rtnetlink.h"
#include "vrf.h"

void policy_deinit(struct policy *policy)
{
	free(policy->rules);
	*policy = POLICY_NULL;
}

/* ---- reading */

/* Linux 6.15; the headers of older ones lack them */
#define ATTRIBUTE_SPORT_MASK 28
#define ATTRIBUTE_DPORT_MASK 29

static void read_prefix(const struct nlattr *attribute, struct prefix *prefix)
{
	size_t size = mnl_attr_get_payload_len(attribute);

	if (size <= sizeof(prefix->address))
		memcpy(prefix->address, mnl_attr_get_payload(attribute), size);
}

static void read_name(const struct nlattr *attribute, char name[static IF_NAMESIZE])
{
	(void)snprintf(name, IF_NAMESIZE, "%s", mnl_attr_get_str(attribute));
}

static void read_ports(const struct nlattr *attribute, uint16_t ports[static 2])
{
	struct fib_rule_port_range range;

	if (mnl_attr_get_payload_len(attribute) < sizeof(range))
		return;
	memcpy(&range, mnl_attr_get_payload(attribute), sizeof(range));
	ports[0] = range.start;
	ports[1] = range.end;
}

static int read_attribute(const struct nlattr *attribute, void *userdata)
{
	struct policy_rule *rule = userdata;

	switch (mnl_attr_get_type(attribute)) {
	case FRA_SRC:
		read_prefix(attribute, &rule->from);
		break;
	case FRA_DST:
		read_prefix(attribute, &rule->to);
		break;
	case FRA_IIFNAME:
		read_name(attribute, rule->input);
		break;
	case FRA_OIFNAME:
		read_name(attribute, rule->output);
		break;
	case FRA_PRIORITY:
		rule->priority = mnl_attr_get_u32(attribute);
		break;
	case FRA_TABLE:
		rule->table = mnl_attr_get_u32(attribute);
		break;
	case FRA_GOTO:
		rule->target = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMARK:
		rule->mark = mnl_attr_get_u32(attribute);
		rule->has_mark = true;
		break;
	case FRA_FWMASK:
		rule->mask = mnl_attr_get_u32(attribute);
		break;
	case FRA_L3MDEV:
		rule->vrf = mnl_attr_get_u8(attribute);
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		rule->suppress_length = (int)mnl_attr_get_u32(attribute);
		break;
	case FRA_IP_PROTO:
		rule->protocol = mnl_attr_get_u8(attribute);
		break;
	case FRA_DPORT_RANGE:
		read_ports(attribute, rule->ports);
		break;
	case FRA_SPORT_RANGE:
		read_ports(attribute, rule->source_ports);
		break;
	case FRA_PROTOCOL:
	case FRA_PAD:
	case FRA_FLOW:
		break;
	case FRA_SUPPRESS_IFGROUP:
		rule->more = rule->more || mnl_attr_get_u32(attribute) != UINT32_MAX;
		break;
	case ATTRIBUTE_SPORT_MASK:
	case ATTRIBUTE_DPORT_MASK:
		rule->more = rule->more || mnl_attr_get_u16(attribute) != UINT16_MAX;
		break;
	default: /* FRA_TUN_ID, FRA_UID_RANGE, and what later kernels have */
		rule->more = true;
	}
	return MNL_CB_OK;
}

static int add_rule(const struct nlmsghdr *header, void *userdata)
{
	const struct fib_rule_hdr *message = mnl_nlmsg_get_payload(header);
	struct policy *policy = userdata;
	struct policy_rule rule = {.table = message->table,
		.action = message->action,
		.suppress_length = -1,
		.mask = UINT32_MAX,
		.inverted = message->flags & FIB_RULE_INVERT,
		.more = message->tos != 0};

	if (message->src_len)
		rule.from = (struct prefix){.family = message->family, .length = message->src_len};
	if (message->dst_len)
		rule.to = (struct prefix){.family = message->family, .length = message->dst_len};
	if (mnl_attr_parse(header, sizeof(*message), read_attribute, &rule) < 0)
		return MNL_CB_ERROR;
	if (ARRAY_RESERVE(policy->rules, policy->n_rules) < 0) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	policy->rules[policy->n_rules++] = rule;
	return MNL_CB_OK;
}

static void forget(void *userdata)
{
	((struct policy *)userdata)->n_rules = 0;
}

int policy_read(int family, struct policy *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *message;
	int r;

	*ret = POLICY_NULL;
	header->nlmsg_type = RTM_GETRULE;
	header->nlmsg_flags = NLM_F_DUMP;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->family = (uint8_t)family;
	r = rtnetlink_ask(header, add_rule, forget, ret, "the routing rules", refusal);
	/* a kernel without routing rules */
	return r == REFUSED && (refusal->error == EOPNOTSUPP || refusal->error == EAFNOSUPPORT) ? 0 : r;
}

static bool is_plain(const struct policy_rule *rule, uint32_t priority, uint32_t table)
{
	return rule->priority == priority && rule->table == table && rule->action == FR_ACT_TO_TBL &&
	       rule->from.family == AF_UNSPEC && rule->to.family == AF_UNSPEC && !*rule->input &&
	       !*rule->output && !rule->has_mark && !rule->protocol && !rule->ports[1] &&
	       !rule->source_ports[1] && !rule->vrf && !rule->inverted && !rule->more;
}

bool policy_is_plain(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (!is_plain(rule, 0, RT_TABLE_LOCAL) && !is_plain(rule, 32766, RT_TABLE_MAIN) &&
			!is_plain(rule, 32767, RT_TABLE_DEFAULT))
			return false;
	}
	return true;
}

/* Does it fit packets that this host sends to addresses of a route, whatever else is in them? */
static bool leads_host_to(const struct policy_rule *rule, const struct route_entry *entry)
{
	const struct prefix *prefix = &entry->prefix, *to = &rule->to;
	struct policy_rule rest = *rule;

	if (to->family != AF_UNSPEC && !prefix_contains(to, prefix->family, prefix->address) &&
		!prefix_contains(prefix, to->family, to->address))
		return false;
	rest.to = (struct prefix){};
	if (!strcmp(rest.input, "lo")) /* the device of the packets that this host sends */
		*rest.input = '\0';
	return is_plain(&rest, rule->priority, entry->table);
}

bool policy_spares_host(const struct policy *policy, const struct route_entry *entry)
{
	bool named = false;

	for (size_t i = 0; i < policy->n_rules; i++) {
		if (leads_host_to(&policy->rules[i], entry))
			return false;
		named = named || policy->rules[i].table == entry->table;
	}
	return named;
}

/* ---- does a rule fit? */

enum fit { FIT_NO, FIT_MAYBE, FIT_YES };

static enum fit both(enum fit a, enum fit b)
{
	return a < b ? a : b;
}

static enum fit to_fit(bool fits)
{
	return fits ? FIT_YES : FIT_NO;
}

static bool has_port(const uint16_t range[static 2], uint16_t port)
{
	return range[0] <= port && port <= range[1];
}

static enum fit fit_device(
	const struct policy_rule *rule, const struct policy_packet *packet, const struct vrf_links *links)
{
	uint32_t device = if_nametoindex(rule->input);
	const struct vrf_link *vrf = vrf_of(links, packet->device);

	if (!packet->device)
		return FIT_MAYBE;
	/* kernels differ in whether a packet in a VRF still counts as one of the device by which it came */
	if (vrf && vrf->device != packet->device && (device == packet->device || device == vrf->device))
		return FIT_MAYBE;
	return to_fit(device == packet->device);
}

static enum fit fit_rule(
	const struct policy_rule *rule, const struct policy_packet *packet, const struct vrf_links *links)
{
	enum fit fit = rule->more ? FIT_MAYBE : FIT_YES;

	if (rule->to.family != AF_UNSPEC)
		fit = both(fit, to_fit(prefix_contains(&rule->to, packet->family, packet->destination)));
	if (rule->from.family != AF_UNSPEC)
		fit = both(fit, packet->source
					? to_fit(prefix_contains(&rule->from, packet->family, packet->source))
					: FIT_MAYBE);
	if (*rule->input)
		fit = both(fit, fit_device(rule, packet, links));
	if (*rule->output) /* no packet that comes in has one yet */
		fit = FIT_NO;
	if (rule->has_mark)
		fit = both(fit,
			packet->has_mark ? to_fit(!((packet->mark ^ rule->mark) & rule->mask)) : FIT_MAYBE);
	if (rule->protocol)
		fit = both(fit, to_fit(rule->protocol == packet->protocol));
	if (rule->ports[1])
		fit = both(fit, to_fit(has_port(rule->ports, packet->port)));
	if (rule->source_ports[1])
		fit = both(fit, packet->source ? to_fit(has_port(rule->source_ports, packet->source_port))
					       : FIT_MAYBE);
	return rule->inverted ? FIT_YES - fit : fit;
}

/* ---- where it leads */

enum lead { LEAD_ON, LEAD_LOCAL, LEAD_AWAY };

static enum lead look_up(const struct policy_rule *rule, const struct routing *routing, uint32_t table,
	const struct policy_packet *packet)
{
	const struct route_entry *entry = routing_lookup(routing, table, packet->family, packet->destination);

	if (!entry || entry->type == RTN_THROW || (int)entry->prefix.length <= rule->suppress_length)
		return LEAD_ON;
	return entry->type == RTN_LOCAL ? LEAD_LOCAL : LEAD_AWAY;
}

static void add_outcome(const struct policy_rule *rule, enum lead lead, bool open, uint32_t vrf,
	struct policy_outcome *outcome)
{
	if (lead == LEAD_LOCAL && !outcome->local)
		outcome->local = rule;
	else if (lead == LEAD_AWAY && !outcome->not_local)
		outcome->not_local = rule;
	else
		return;
	if (open) {
		outcome->open = rule;
		outcome->vrf = vrf;
	}
}

/* Return: whether one of the VRFs certainly decides */
static bool follow_vrfs(const struct policy_rule *rule, enum fit fit, const struct routing *routing,
	const struct policy_packet *packet, const struct vrf_links *links, struct policy_outcome *outcome)
{
	const struct vrf_link *vrf = packet->device ? vrf_of(links, packet->device) : NULL;
	enum lead lead;

	if (packet->device) {
		lead = vrf ? look_up(rule, routing, vrf->table, packet) : LEAD_ON;
		add_outcome(rule, lead, fit != FIT_YES, vrf ? vrf->device : 0, outcome);
		return lead != LEAD_ON && fit == FIT_YES;
	}
	for (size_t i = 0; i < links->n; i++)
		if (links->items[i].table) {
			lead = look_up(rule, routing, links->items[i].table, packet);
			add_outcome(rule, lead, true, links->items[i].device, outcome);
		}
	return false;
}

/* Return: whether the rule certainly decides */
static bool follow(const struct policy_rule *rule, enum fit fit, const struct routing *routing,
	const struct policy_packet *packet, const struct vrf_links *links, struct policy_outcome *outcome)
{
	enum lead lead = LEAD_ON;

	switch (rule->action) {
	case FR_ACT_TO_TBL:
		if (rule->vrf)
			return follow_vrfs(rule, fit, routing, packet, links, outcome);
		lead = look_up(rule, routing, rule->table, packet);
		break;
	case FR_ACT_BLACKHOLE:
	case FR_ACT_UNREACHABLE:
	case FR_ACT_PROHIBIT:
		lead = LEAD_AWAY;
	}
	add_outcome(rule, lead, fit != FIT_YES, 0, outcome);
	return lead != LEAD_ON && fit == FIT_YES;
}

int policy_decide(const struct policy *policy, const struct routing *routing,
	const struct policy_packet *packet, struct policy_outcome *ret, struct refusal *refusal)
{
	_cleanup_(vrf_deinit) struct vrf_links links = VRF_LINKS_NULL;
	bool decided = false;
	int r = vrf_read(&links, refusal);

	*ret = (struct policy_outcome){};
	for (size_t i = 0; !r && !decided && i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		enum fit fit = fit_rule(rule, packet, &links);

		if (fit == FIT_NO)
			continue;
		/* one that may jump may also go on: both ways are looked at, one after the other */
		if (rule->action == FR_ACT_GOTO && fit == FIT_YES)
			while (i + 1 < policy->n_rules && policy->rules[i + 1].priority < rule->target)
				i++;
		else if (rule->action != FR_ACT_GOTO && rule->action != FR_ACT_NOP)
			decided = follow(rule, fit, routing, packet, &links, ret);
	}
	/* an address that no rule leads to is not local */
	if (!decided && ret->local && !ret->not_local)
		ret->not_local = ret->local;
	if (!ret->local || !ret->not_local)
		ret->open = NULL;
	return r;
}

/* ---- text */

static void format_table(const struct policy_rule *rule, char text[static 32])
{
	static const char *const names[] = {
		[RT_TABLE_DEFAULT] = "default", [RT_TABLE_MAIN] = "main", [RT_TABLE_LOCAL] = "local"};

	if (rule->vrf)
		(void)snprintf(text, 32, "[l3mdev-table]");
	else if (rule->table < ARRAY_SIZE(names) && names[rule->table])
		(void)snprintf(text, 32, "%s", names[rule->table]);
	else
		(void)snprintf(text, 32, "%u", rule->table);
}

static const char *action_word(uint8_t action)
{
	switch (action) {
	case FR_ACT_BLACKHOLE:
		return "blackhole";
	case FR_ACT_UNREACHABLE:
		return "unreachable";
	case FR_ACT_PROHIBIT:
		return "prohibit";
	default:
		return "?";
	}
}

const char *policy_rule_format(const struct policy_rule *rule, char text[static POLICY_RULE_TEXT_MAX])
{
	char from[PREFIX_TEXT_MAX] = "all", to[PREFIX_TEXT_MAX + 8] = "", table[32], mark[48] = "",
	     prefix[PREFIX_TEXT_MAX];

	if (rule->from.family != AF_UNSPEC)
		(void)prefix_format(&rule->from, from);
	if (rule->to.family != AF_UNSPEC)
		(void)snprintf(to, sizeof(to), " to %s", prefix_format(&rule->to, prefix));
	if (rule->has_mark && rule->mask == UINT32_MAX)
		(void)snprintf(mark, sizeof(mark), " fwmark 0x%x", rule->mark);
	else if (rule->has_mark)
		(void)snprintf(mark, sizeof(mark), " fwmark 0x%x/0x%x", rule->mark, rule->mask);
	format_table(rule, table);
	(void)snprintf(text, POLICY_RULE_TEXT_MAX, "%u: %sfrom %s%s%s%s%s%s%s%s %s%s", rule->priority,
		rule->inverted ? "not " : "", from, to, mark, *rule->input ? " iif " : "", rule->input,
		rule->protocol ? " ipproto " : "", rule->protocol ? protocol_word(rule->protocol) : "",
		rule->more || rule->ports[1] || rule->source_ports[1] ? " and more" : "",
		rule->action == FR_ACT_TO_TBL ? "lookup " : "",
		rule->action == FR_ACT_TO_TBL ? table : action_word(rule->action));
	return text;
}
