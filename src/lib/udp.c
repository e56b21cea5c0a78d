/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../util/address.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "public.h"
#include "reason.h"
#include "usher.h"

#ifndef IP_RECVORIGDSTADDR /* linux/in.h, which cannot be included with netinet/in.h */
#define IP_ORIGDSTADDR 20
#define IP_RECVORIGDSTADDR IP_ORIGDSTADDR
#endif
#ifndef IPV6_RECVORIGDSTADDR /* linux/in6.h */
#define IPV6_ORIGDSTADDR 74
#define IPV6_RECVORIGDSTADDR IPV6_ORIGDSTADDR
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* The largest that the options of usher_udp_prepare() add, and as much for those that the service has set itself */
#define CONTROL_SIZE 512

static int failed(int error)
{
	(void)refuse(reason(), error, "%s (%s)", errno_text(error), errno_name(error));
	return -error;
}

/* ---- addresses */

static const struct sockaddr_in *as_v4(const struct sockaddr_storage *address)
{
	return (const struct sockaddr_in *)address;
}

static const struct sockaddr_in6 *as_v6(const struct sockaddr_storage *address)
{
	return (const struct sockaddr_in6 *)address;
}

static socklen_t length_of(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static in_port_t port_of(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? as_v4(address)->sin_port : as_v6(address)->sin6_port;
}

static const uint8_t *bytes_of(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? (const uint8_t *)&as_v4(address)->sin_addr
					     : as_v6(address)->sin6_addr.s6_addr;
}

static bool is_mapped(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&as_v6(address)->sin6_addr);
}

static const char *spell(const struct sockaddr_storage *address, char text[static ENDPOINT_TEXT_MAX])
{
	if (is_mapped(address))
		return endpoint_format(AF_INET, bytes_of(address) + 12, ntohs(port_of(address)), text);
	return endpoint_format(address->ss_family, bytes_of(address), ntohs(port_of(address)), text);
}

/* 192.0.2.1 as ::ffff:192.0.2.1 */
static void map(const struct sockaddr_in *address, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = address->sin_port};

	memset(mapped.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(mapped.sin6_addr.s6_addr + 12, &address->sin_addr, sizeof(address->sin_addr));
	memcpy(ret, &mapped, sizeof(mapped));
}

/* ---- what the kernel is to say */

static int check_socket(int fd, int *ret_family)
{
	int type, protocol;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, ret_family, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
		return refuse(reason(), errno, "descriptor %d is not a socket (%s)", fd, errno_name(errno));
	if ((*ret_family != AF_INET && *ret_family != AF_INET6) || type != SOCK_DGRAM ||
		protocol != IPPROTO_UDP)
		return refuse(reason(), EPROTOTYPE, "socket %d is not a UDP socket (EPROTOTYPE)", fd);
	return 0;
}

static int switch_on(int fd, int level, int option)
{
	const int yes = 1;

	if (setsockopt(fd, level, option, &yes, sizeof(yes)) < 0)
		return refuse(reason(), errno,
			"the kernel does not say where datagrams of socket %d were sent: setsockopt(2) of option %d of level %d failed (%s)",
			fd, option, level, errno_name(errno));
	return 0;
}

_public_ int usher_udp_prepare(int fd)
{
	int family, r;

	r = check_socket(fd, &family);
	/* an IPv6 socket says it by those of IPv4 for IPv4 clients */
	if (!r)
		r = switch_on(fd, IPPROTO_IP, IP_PKTINFO);
	if (!r)
		r = switch_on(fd, IPPROTO_IP, IP_RECVORIGDSTADDR);
	if (!r && family == AF_INET6)
		r = switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	if (!r && family == AF_INET6)
		r = switch_on(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR);
	if (!r && family == AF_INET6)
		r = switch_on(fd, IPPROTO_IPV6, IPV6_FREEBIND);
	if (r)
		return -reason()->error;
	reason_clear();
	return 0;
}

/* ---- receive */

static void read_control(struct msghdr *header, struct usher_udp_path *path)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
		const void *data = CMSG_DATA(item);

		if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_ORIGDSTADDR) {
			struct sockaddr_in address;

			memcpy(&address, data, sizeof(address));
			if (path->client.ss_family == AF_INET6)
				map(&address, &path->original);
			else
				memcpy(&path->original, &address, sizeof(address));
		} else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(&path->original, data, sizeof(struct sockaddr_in6));
		} else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, data, sizeof(info));
			path->device = (unsigned)info.ipi_ifindex;
		} else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, data, sizeof(info));
			path->device = info.ipi6_ifindex;
		}
	}
}

_public_ ssize_t usher_udp_receive(
	int fd, void *buffer, size_t size, int flags, struct usher_udp_path *ret_path)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct usher_udp_path path = {.device = 0};
	struct iovec part = {.iov_base = buffer, .iov_len = size};
	struct msghdr header = {
		.msg_name = &path.client,
		.msg_namelen = sizeof(path.client),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &header, flags);

	if (n < 0)
		return failed(errno);
	read_control(&header, &path);
	*ret_path = path;
	reason_clear();
	return n;
}

/* ---- send */

/* Of the socket: an answer cannot leave from another one. */
static int check_port(int fd, const struct usher_udp_path *path)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	char text[ENDPOINT_TEXT_MAX];

	if (getsockname(fd, (struct sockaddr *)&own, &size) < 0)
		return refuse(reason(), errno, "descriptor %d is not a socket (%s)", fd, errno_name(errno));
	if (own.ss_family != path->client.ss_family || own.ss_family != path->original.ss_family)
		return refuse(reason(), EAFNOSUPPORT,
			"socket %d is not of the family of the client's address (EAFNOSUPPORT)", fd);
	if (port_of(&own) != port_of(&path->original))
		return refuse(reason(), EADDRNOTAVAIL,
			"the client sent to %s, and an answer of socket %d would leave from port %u (EADDRNOTAVAIL); bind the service to the port of the rule, or answer by usher_udp_flow()",
			spell(&path->original, text), fd, ntohs(port_of(&own)));
	return 0;
}

static void put(struct msghdr *header, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *item = CMSG_FIRSTHDR(header);

	item->cmsg_level = level;
	item->cmsg_type = type;
	item->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(item), data, size);
	header->msg_controllen = CMSG_SPACE(size);
}

static void put_source(struct msghdr *header, const struct usher_udp_path *path)
{
	const struct sockaddr_storage *original = &path->original;

	if (original->ss_family == AF_INET || is_mapped(original)) {
		struct in_pktinfo info = {.ipi_ifindex = 0};

		memcpy(&info.ipi_spec_dst, bytes_of(original) + (original->ss_family == AF_INET ? 0 : 12),
			sizeof(info.ipi_spec_dst));
		put(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_addr = as_v6(original)->sin6_addr};

		/* other addresses are answered by whatever device the routes choose */
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex = path->device;
		put(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static bool has_source(const struct usher_udp_path *path)
{
	const struct sockaddr_storage *original = &path->original;

	if (original->ss_family != AF_INET && original->ss_family != AF_INET6)
		return false;
	if (is_mapped(original))
		return !address_is_multicast(AF_INET, bytes_of(original) + 12);
	return !address_is_multicast(original->ss_family, bytes_of(original));
}

_public_ ssize_t usher_udp_send(
	int fd, const void *buffer, size_t size, int flags, const struct usher_udp_path *path)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct usher_udp_path copy = *path;
	struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};
	struct msghdr header = {
		.msg_name = &copy.client,
		.msg_namelen = length_of(&copy.client),
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];
	ssize_t n;

	if (has_source(path)) {
		if (check_port(fd, path))
			return -reason()->error;
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		put_source(&header, path);
	}
	n = sendmsg(fd, &header, flags | MSG_NOSIGNAL);
	if (n >= 0) {
		reason_clear();
		return n;
	}
	/* ip_route_output_key_hash_rcu(): EINVAL, since Linux 6.15 ENETUNREACH */
	if ((errno == EINVAL || errno == ENETUNREACH) && header.msg_control) {
		(void)refuse(reason(), errno,
			"socket %d cannot answer %s from %s (%s): that is no local address of this host ('ip route get ADDRESS' shows it), or no route leads from there to the client",
			fd, spell(&path->client, to), spell(&path->original, from), errno_name(errno));
		return -reason()->error;
	}
	return failed(errno);
}

/* ---- one socket for each client */

static int open_flow(const struct usher_udp_path *path, int flags, int *ret)
{
	_cleanup_close_ int fd =
		socket(path->client.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | flags, IPPROTO_UDP);
	const int yes = 1, no = 0;
	char text[ENDPOINT_TEXT_MAX];

	if (fd < 0)
		return refuse(reason(), errno, "cannot open a UDP socket (%s)", errno_name(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		(path->client.ss_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_mapped(&path->original) ? &no : &yes,
				sizeof(no)) < 0))
		return refuse(reason(), errno, "cannot set up a UDP socket (%s)", errno_name(errno));
	if (bind(fd, (const struct sockaddr *)&path->original, length_of(&path->original)) < 0) {
		if (errno == EACCES)
			return refuse(reason(), EACCES,
				"this process may not bind %s (EACCES); ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE",
				spell(&path->original, text));
		if (errno == EADDRINUSE)
			return refuse(reason(), EADDRINUSE,
				"%s is in use by a socket without SO_REUSEADDR (EADDRINUSE); set it before bind(2) of each socket of this port",
				spell(&path->original, text));
		return refuse(reason(), errno, "cannot bind %s (%s)", spell(&path->original, text),
			errno_name(errno));
	}
	if (connect(fd, (const struct sockaddr *)&path->client, length_of(&path->client)) < 0)
		return refuse(reason(), errno, "cannot connect to %s (%s)", spell(&path->client, text),
			errno_name(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

_public_ int usher_udp_flow(const struct usher_udp_path *path, int flags)
{
	struct usher_udp_path copy = *path;
	int fd = -1, r = 0;

	if (flags & ~SOCK_NONBLOCK)
		r = refuse(reason(), EINVAL, "flags 0x%x are not known to this call (EINVAL)",
			(unsigned)(flags & ~SOCK_NONBLOCK));
	else if (!has_source(path) || path->client.ss_family != path->original.ss_family)
		r = refuse(reason(), EINVAL,
			"the path does not say to which address of this host the client sent (EINVAL); call usher_udp_prepare() before usher_udp_receive()");
	if (r)
		return -reason()->error;
	if (copy.original.ss_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&as_v6(&copy.original)->sin6_addr))
		((struct sockaddr_in6 *)&copy.original)->sin6_scope_id = copy.device;
	if (open_flow(&copy, flags, &fd))
		return -reason()->error;
	reason_clear();
	return fd;
}
