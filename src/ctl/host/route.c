/* SPDX-License-Identifier: BSD-3-Clause */
#include "route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <sys/time.h>

#include "../../util/address.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../complain.h"

#define ANSWER_SECONDS 10

static void socket_closep(struct mnl_socket **socket)
{
	if (*socket)
		(void)mnl_socket_close(*socket);
}

static int ask_kernel(struct mnl_socket *netlink, int family, const uint8_t *address)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtmsg *message;

	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = 1;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->rtm_family = (unsigned char)family;
	message->rtm_dst_len = (unsigned char)address_bits(family);
	mnl_attr_put(header, RTA_DST, address_size(family), address);
	if (mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
			0 ||
		mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0)
		return -errno;
	return 0;
}

/* For mnl_cb_run() */
static int read_route(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	enum route *route = userdata;

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
	return error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES || error == EINVAL;
}

int route_find(int family, const uint8_t *address, enum route *ret, struct refusal *refusal)
{
	_cleanup_(socket_closep) struct mnl_socket *netlink = NULL;
	_Alignas(struct nlmsghdr) char buffer[8192];
	enum route route = ROUTE_UNKNOWN;
	ssize_t size;
	int r;

	/* the kernel delivers multicast even when it finds no route, as without a default route */
	if (address_is_multicast(family, address)) {
		*ret = ROUTE_MULTICAST;
		return 0;
	}
	netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	r = netlink ? ask_kernel(netlink, family, address) : -errno;
	if (!r) {
		size = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));
		if (size < 0)
			r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		else if (mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(netlink), read_route,
				 &route) < 0) {
			if (is_answer(errno))
				route = ROUTE_NONE;
			else
				r = -errno;
		}
	}
	if (r)
		return refuse(refusal, -r, "cannot read the routes from rtnetlink (%s)", errno_name(-r));
	*ret = route;
	return 0;
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
	};

	return words[route];
}
