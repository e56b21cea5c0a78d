/* SPDX-License-Identifier: BSD-3-Clause */
#include "route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>

#include "../../util/address.h"
#include "rtnetlink.h"

/* For rtnetlink_ask() */
static int read_route(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	enum route *route = userdata;

	if (!rtnetlink_has(header, sizeof(*message)))
		return MNL_CB_ERROR;
	switch (message->rtm_type) {
	case RTN_LOCAL:
		*route = ROUTE_LOCAL;
		break;
	case RTN_BROADCAST:
		*route = ROUTE_BROADCAST;
		break;
	case RTN_MULTICAST:
		*route = ROUTE_MULTICAST;
		break;
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		*route = ROUTE_NONE;
		break;
	default:
		*route = ROUTE_ELSEWHERE;
	}
	return MNL_CB_STOP;
}

/* The errnos of a kernel that has looked and found no route. A blackhole gives EINVAL. */
static bool is_answer(int error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES || error == EINVAL ||
	       error == EXDEV;
}

static void put_port(struct nlmsghdr *header, uint16_t type, uint16_t port)
{
	if (port)
		mnl_attr_put_u16(header, type, htons(port));
}

int route_ask(const struct route_question *question, enum route *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	size_t size = address_size(question->family);
	struct rtmsg *message;
	int r;

	*ret = ROUTE_UNKNOWN;
	/* the kernel delivers multicast even when it finds no route, as without a default route */
	if (address_is_multicast(question->family, question->destination)) {
		*ret = ROUTE_MULTICAST;
		return 0;
	}
	header->nlmsg_type = RTM_GETROUTE;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->rtm_family = (unsigned char)question->family;
	message->rtm_dst_len = (unsigned char)address_bits(question->family);
	mnl_attr_put(header, RTA_DST, size, question->destination);
	if (question->source) {
		message->rtm_src_len = message->rtm_dst_len;
		mnl_attr_put(header, RTA_SRC, size, question->source);
	}
	if (question->device)
		mnl_attr_put_u32(header, RTA_IIF, question->device);
	if (question->mark)
		mnl_attr_put_u32(header, RTA_MARK, question->mark);
	if (question->protocol)
		mnl_attr_put_u8(header, RTA_IP_PROTO, question->protocol);
	put_port(header, RTA_DPORT, question->port);
	put_port(header, RTA_SPORT, question->source_port);
	r = rtnetlink_ask(header, read_route, NULL, ret, "the routes", refusal);
	if (r != REFUSED || !is_answer(refusal->error))
		return r;
	*ret = question->device && (refusal->error == EINVAL || refusal->error == EXDEV) ? ROUTE_DROPPED
											 : ROUTE_NONE;
	return 0;
}

int route_find(int family, const uint8_t *address, enum route *ret, struct refusal *refusal)
{
	const struct route_question question = {.family = family, .destination = address};

	return route_ask(&question, ret, refusal);
}

/* ---- whose address it is */

static int read_output(const struct nlattr *attribute, void *userdata)
{
	if (mnl_attr_get_type(attribute) == RTA_OIF &&
		mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
		*(uint32_t *)userdata = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* For rtnetlink_ask() */
static int read_device(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);

	if (!rtnetlink_has(header, sizeof(*message)))
		return MNL_CB_ERROR;
	if (message->rtm_type == RTN_LOCAL &&
		mnl_attr_parse(header, sizeof(*message), read_output, userdata) < 0)
		return MNL_CB_ERROR;
	return MNL_CB_STOP;
}

int route_find_device(int family, const uint8_t *address, uint32_t *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtmsg *message;

	*ret = 0;
	header->nlmsg_type = RTM_GETROUTE;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->rtm_family = (unsigned char)family;
	message->rtm_dst_len = (unsigned char)address_bits(family);
	/* the entry of the table: the route as it is used says lo */
	message->rtm_flags = RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH;
	mnl_attr_put(header, RTA_DST, address_size(family), address);
	return rtnetlink_ask(header, read_device, NULL, ret, "the routes", refusal);
}

const char *route_word(enum route route)
{
	static const char *const words[] = {
		[ROUTE_UNKNOWN] = "unknown",
		[ROUTE_LOCAL] = "local",
		[ROUTE_ELSEWHERE] = "elsewhere",
		[ROUTE_NONE] = "none",
		[ROUTE_BROADCAST] = "broadcast",
		[ROUTE_MULTICAST] = "multicast",
		[ROUTE_DROPPED] = "dropped",
	};

	return words[route];
}
