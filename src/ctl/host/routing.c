/* SPDX-License-Identifier: BSD-3-Clause */
#include "routing.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../util/array.h"
#include "../../util/macro.h"
#include "rtnetlink.h"

void routing_deinit(struct routing *routing)
{
	free(routing->routes);
	free(routing->neighbours);
	*routing = ROUTING_NULL;
}

static bool is_ip(int family)
{
	return family == AF_INET || family == AF_INET6;
}

/* ---- routes */

/* For mnl_attr_parse(): attributes that are not known are left out. */
struct attributes {
	const struct nlattr *items[RTA_MAX + 1];
};

static int keep_attribute(const struct nlattr *attribute, void *userdata)
{
	struct attributes *attributes = userdata;

	if (mnl_attr_type_valid(attribute, RTA_MAX) > 0)
		attributes->items[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

static void read_gateway(const struct nlattr *const *attributes, struct route_entry *entry)
{
	const struct nlattr *gateway = attributes[RTA_GATEWAY], *via = attributes[RTA_VIA];
	const struct rtvia *other;

	if (gateway && mnl_attr_get_payload_len(gateway) == address_size(entry->prefix.family)) {
		entry->gateway_family = entry->prefix.family;
		memcpy(entry->gateway, mnl_attr_get_payload(gateway), mnl_attr_get_payload_len(gateway));
	} else if (via && mnl_attr_get_payload_len(via) > sizeof(*other)) {
		size_t size = mnl_attr_get_payload_len(via) - sizeof(*other);

		other = mnl_attr_get_payload(via);
		if (!is_ip(other->rtvia_family) || size != address_size(other->rtvia_family))
			return;
		entry->gateway_family = (uint8_t)other->rtvia_family;
		memcpy(entry->gateway, other->rtvia_addr, size);
	}
}

static int add_entry(struct routing *routing, const struct route_entry *entry)
{
	if (ARRAY_RESERVE(routing->routes, routing->n_routes) < 0) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	routing->routes[routing->n_routes++] = *entry;
	return MNL_CB_OK;
}

static int add_hops(struct routing *routing, const struct nlattr *list, struct route_entry *entry)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(list);
	int left = (int)mnl_attr_get_payload_len(list), r = MNL_CB_OK;

	for (; r == MNL_CB_OK && left >= (int)sizeof(*hop) && RTNH_OK(hop, left);
		left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		struct attributes attributes = {};
		size_t size = hop->rtnh_len - sizeof(*hop);

		entry->device = (uint32_t)hop->rtnh_ifindex;
		entry->gateway_family = 0;
		if (size && mnl_attr_parse_payload(RTNH_DATA(hop), size, keep_attribute, &attributes) < 0)
			return MNL_CB_ERROR;
		read_gateway(attributes.items, entry);
		r = add_entry(routing, entry);
	}
	return r;
}

static uint32_t read_number(const struct nlattr *attribute, uint32_t otherwise)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t)
		       ? mnl_attr_get_u32(attribute)
		       : otherwise;
}

static int add_route(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	struct attributes attributes = {};
	const struct nlattr *destination;
	struct route_entry entry;

	if (!rtnetlink_has(header, sizeof(*message)))
		return MNL_CB_ERROR;
	/* the kernel lists cached routes of IPv6 as well */
	if (!is_ip(message->rtm_family) || message->rtm_dst_len > address_bits(message->rtm_family) ||
		message->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	entry = (struct route_entry){
		.prefix = {.family = message->rtm_family, .length = message->rtm_dst_len},
		.type = message->rtm_type,
		.protocol = message->rtm_protocol,
		.table = message->rtm_table};
	if (mnl_attr_parse(header, sizeof(*message), keep_attribute, &attributes) < 0)
		return MNL_CB_ERROR;
	destination = attributes.items[RTA_DST];
	if (destination && mnl_attr_get_payload_len(destination) == address_size(entry.prefix.family))
		memcpy(entry.prefix.address, mnl_attr_get_payload(destination),
			mnl_attr_get_payload_len(destination));
	entry.table = read_number(attributes.items[RTA_TABLE], entry.table);
	if (attributes.items[RTA_MULTIPATH])
		return add_hops(userdata, attributes.items[RTA_MULTIPATH], &entry);
	entry.device = read_number(attributes.items[RTA_OIF], 0);
	read_gateway(attributes.items, &entry);
	return add_entry(userdata, &entry);
}

/* ---- neighbours */

static int read_neighbour(const struct nlattr *attribute, void *userdata)
{
	struct neighbour *neighbour = userdata;

	if (mnl_attr_get_type(attribute) == NDA_DST &&
		mnl_attr_get_payload_len(attribute) == address_size(neighbour->family))
		memcpy(neighbour->address, mnl_attr_get_payload(attribute),
			mnl_attr_get_payload_len(attribute));
	return MNL_CB_OK;
}

static int add_neighbour(const struct nlmsghdr *header, void *userdata)
{
	const struct ndmsg *message = mnl_nlmsg_get_payload(header);
	struct routing *routing = userdata;
	struct neighbour neighbour;

	if (!rtnetlink_has(header, sizeof(*message)))
		return MNL_CB_ERROR;
	neighbour =
		(struct neighbour){.family = message->ndm_family, .device = (uint32_t)message->ndm_ifindex};
	if (!is_ip(message->ndm_family) ||
		message->ndm_state & (NUD_NONE | NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP))
		return MNL_CB_OK;
	if (mnl_attr_parse(header, sizeof(*message), read_neighbour, &neighbour) < 0)
		return MNL_CB_ERROR;
	if (ARRAY_RESERVE(routing->neighbours, routing->n_neighbours) < 0) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	routing->neighbours[routing->n_neighbours++] = neighbour;
	return MNL_CB_OK;
}

/* ---- the whole */

static void forget_routes(void *userdata)
{
	((struct routing *)userdata)->n_routes = 0;
}

static void forget_neighbours(void *userdata)
{
	((struct routing *)userdata)->n_neighbours = 0;
}

int routing_read(struct routing *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	int r;

	*ret = ROUTING_NULL;
	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_DUMP;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct rtmsg));
	r = rtnetlink_ask(header, add_route, forget_routes, ret, "the routes", refusal);
	if (r)
		return r;
	memset(buffer, 0, sizeof(buffer));
	header = mnl_nlmsg_put_header(buffer);
	header->nlmsg_type = RTM_GETNEIGH;
	header->nlmsg_flags = NLM_F_DUMP;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ndmsg));
	return rtnetlink_ask(header, add_neighbour, forget_neighbours, ret, "the neighbours", refusal);
}

const struct route_entry *routing_lookup(
	const struct routing *routing, uint32_t table, int family, const uint8_t *address)
{
	const struct route_entry *best = NULL;

	for (size_t i = 0; i < routing->n_routes; i++) {
		const struct route_entry *entry = &routing->routes[i];

		if (entry->table == table && prefix_contains(&entry->prefix, family, address) &&
			(!best || entry->prefix.length > best->prefix.length))
			best = entry;
	}
	return best;
}
