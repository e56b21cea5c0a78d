/* SPDX-License-Identifier: BSD-3-Clause */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../util/destination.h"
#include "../util/transport.h"

static int get_option(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static int get_option64(int fd, int option, uint64_t *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, option, ret, &size) < 0 ? -errno : 0;
}

static int check_descriptor(int fd, struct refusal *refusal)
{
	char link[64], target[128];
	ssize_t size;
	int flags = fcntl(fd, F_GETFL), family;

	if (flags < 0)
		return -errno;
	if (flags & O_PATH)
		return refuse(refusal, EBADF,
			"was opened with O_PATH and cannot be used as a socket (EBADF); hand in the listening socket itself");
	/* not fstat(2): for a file of a FUSE file system the broker would wait for its server */
	if (get_option(fd, SOL_SOCKET, SO_DOMAIN, &family) != -ENOTSOCK)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, target, sizeof(target) - 1);
	target[size > 0 ? size : 0] = 0;
	return refuse(refusal, ENOTSOCK,
		"is '%s', not a socket (ENOTSOCK); hand in a listening TCP or a bound UDP socket",
		size > 0 ? target : "something else");
}

static const char *any_family_name(int family, char text[static 32])
{
	static const struct {
		int family;
		const char *name;
	} names[] = {{AF_UNIX, "AF_UNIX"}, {AF_NETLINK, "AF_NETLINK"}, {AF_PACKET, "AF_PACKET"},
		{AF_VSOCK, "AF_VSOCK"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].family == family)
			return names[i].name;
	(void)snprintf(text, 32, "address family %d", family);
	return text;
}

static int check_kind(int fd, int *ret_family, int *ret_protocol, struct refusal *refusal)
{
	int family = AF_UNSPEC, type = 0, protocol = 0, r;
	char text[32];

	r = get_option(fd, SOL_SOCKET, SO_DOMAIN, &family);
	if (!r)
		r = get_option(fd, SOL_SOCKET, SO_TYPE, &type);
	if (!r)
		r = get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
	if (r < 0)
		return r;
	if (family != AF_INET && family != AF_INET6)
		return refuse(refusal, EAFNOSUPPORT,
			"is a socket of %s, not of IPv4 or IPv6 (EAFNOSUPPORT); hand in a listening TCP or a bound UDP socket",
			any_family_name(family, text));
	if (protocol == IPPROTO_MPTCP)
		return refuse(refusal, EOPNOTSUPP,
			"is an MPTCP listener, which a sockmap refuses (EOPNOTSUPP); listen with plain TCP (Go: GODEBUG=multipathtcp=0)");
	if (!(type == SOCK_STREAM && protocol == IPPROTO_TCP) &&
		!(type == SOCK_DGRAM && protocol == IPPROTO_UDP))
		return refuse(refusal, EPROTONOSUPPORT,
			"is of IP protocol %d and socket type %d, neither TCP nor UDP (EPROTONOSUPPORT); hand in a listening TCP or a bound UDP socket",
			protocol, type);
	*ret_family = family;
	*ret_protocol = protocol;
	return 0;
}

static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static int check_state(int fd, int protocol, uint16_t port, struct refusal *refusal)
{
	int listening = 0, r;

	if (is_connected(fd))
		return refuse(refusal, EISCONN,
			protocol == IPPROTO_UDP
				? "is a connected UDP socket (EISCONN); hand in the one that is only bound"
				: "is a connected TCP socket (EISCONN); hand in the one that listens, not one that accept() returned");
	if (protocol == IPPROTO_UDP)
		return port ? 0
			    : refuse(refusal, EINVAL,
				      "is a UDP socket that is not bound (EINVAL); call bind() first");
	r = get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening);
	if (r < 0)
		return r;
	if (!listening)
		return refuse(refusal, EINVAL,
			"is a TCP socket that does not listen (EINVAL); call listen() before handing it in, and do not shutdown() it");
	return 0;
}

static int read_address(int fd, struct socket_facts *facts)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} local = {0};
	socklen_t size = sizeof(local);

	if (getsockname(fd, &local.any, &size) < 0)
		return -errno;
	facts->address_family = local.any.sa_family;
	if (local.any.sa_family == AF_INET) {
		memcpy(facts->address, &local.in.sin_addr, 4);
		facts->port = ntohs(local.in.sin_port);
	} else if (IN6_IS_ADDR_V4MAPPED(&local.in6.sin6_addr)) {
		facts->address_family = AF_INET;
		memcpy(facts->address, &local.in6.sin6_addr.s6_addr[12], 4);
		facts->port = ntohs(local.in6.sin6_port);
	} else {
		memcpy(facts->address, &local.in6.sin6_addr, 16);
		facts->port = ntohs(local.in6.sin6_port);
	}
	return 0;
}

int inspect_socket(int fd, uint64_t netns_cookie, struct socket_facts *ret, struct refusal *refusal)
{
	struct socket_facts facts = {0};
	int family = AF_UNSPEC, v6only = 0, device = 0, reuseport = 0, r;
	uint64_t netns;

	r = check_descriptor(fd, refusal);
	if (!r)
		r = check_kind(fd, &family, &facts.protocol, refusal);
	if (!r)
		r = get_option64(fd, SO_NETNS_COOKIE, &netns);
	if (r)
		return r;
	if (netns != netns_cookie)
		return refuse(refusal, EXDEV,
			"belongs to another network namespace, so connections to it would never complete (EXDEV); hand it to the usherd of its own namespace");
	r = read_address(fd, &facts);
	if (!r)
		r = check_state(fd, facts.protocol, facts.port, refusal);
	if (!r && family == AF_INET6)
		r = get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	if (!r)
		r = get_option64(fd, SO_COOKIE, &facts.cookie);
	if (!r)
		r = get_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device);
	if (!r)
		r = get_option(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport);
	if (r)
		return r;
	facts.ipv6 = family == AF_INET6;
	facts.reuseport = reuseport;
	facts.device = (uint32_t)device;
	facts.serves_ipv4 = family == AF_INET || !v6only;
	facts.serves_ipv6 = facts.address_family == AF_INET6;
	if (facts.protocol == IPPROTO_UDP)
		facts.destination = (uint8_t)destination_read(fd);
	*ret = facts;
	return 0;
}
