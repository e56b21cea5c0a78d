/* SPDX-License-Identifier: BSD-3-Clause */
#include "datagram.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#include "../util/address.h"

int datagram_prepare(int fd, int *ret_family, uint16_t *ret_port)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct endpoint own;
	const int one = 1;

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	if (!endpoint_get(&address, &own))
		return -EAFNOSUPPORT;
	*ret_family = address.ss_family;
	*ret_port = own.port;
	/* a socket for both families needs both */
	if (setsockopt(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, &one, sizeof(one)) < 0)
		return -errno;
	if (address.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &one, sizeof(one)) < 0)
		return -errno;
	return 0;
}

static bool is_destination(const struct cmsghdr *control)
{
	return (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_ORIGDSTADDR) ||
	       (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_ORIGDSTADDR);
}

ssize_t datagram_receive(int fd, void *buffer, size_t size, struct datagram_path *ret)
{
	char controls[256] __attribute__((aligned(sizeof(struct cmsghdr))));
	struct iovec vector = {buffer, size};
	struct msghdr message = {
		.msg_name = &ret->peer,
		.msg_namelen = sizeof(ret->peer),
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = controls,
		.msg_controllen = sizeof(controls),
	};
	struct sockaddr_storage server = {0};
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	n = recvmsg(fd, &message, MSG_DONTWAIT);
	if (n < 0)
		return n;
	for (struct cmsghdr *control = CMSG_FIRSTHDR(&message); control;
		control = CMSG_NXTHDR(&message, control))
		if (is_destination(control))
			memcpy(&server, CMSG_DATA(control), control->cmsg_len - CMSG_LEN(0));
	(void)endpoint_get(&ret->peer, &ret->client);
	(void)endpoint_get(&server, &ret->server);
	return n;
}

/* A group or a broadcast address answers nobody. */
static bool can_answer(const struct endpoint *server)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	return (server->family == AF_INET || server->family == AF_INET6) &&
	       !address_is_multicast(server->family, server->address) &&
	       !(server->family == AF_INET && !memcmp(server->address, broadcast, 4));
}

static void put(struct msghdr *message, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *control = message->msg_control;

	message->msg_controllen = CMSG_SPACE(size);
	control->cmsg_level = level;
	control->cmsg_type = type;
	control->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(control), data, size);
}

int datagram_send(int fd, const void *buffer, size_t size, const struct datagram_path *path)
{
	char controls[CMSG_SPACE(sizeof(struct in6_pktinfo))]
		__attribute__((aligned(sizeof(struct cmsghdr)))) = {0};
	struct iovec vector = {(void *)buffer, size};
	struct msghdr message = {
		.msg_name = (void *)&path->peer,
		.msg_namelen = path->peer.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							       : sizeof(struct sockaddr_in6),
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = controls,
	};
	struct in6_pktinfo six = {0};
	struct in_pktinfo four = {0};

	if (!can_answer(&path->server)) {
		message.msg_control = NULL;
	} else if (path->server.family == AF_INET) {
		memcpy(&four.ipi_spec_dst, path->server.address, 4);
		put(&message, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four));
	} else {
		memcpy(&six.ipi6_addr, path->server.address, 16);
		put(&message, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof(six));
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
