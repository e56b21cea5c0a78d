/* SPDX-License-Identifier: BSD-3-Clause */
#undef NDEBUG
#include "sockets.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "util/macro.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

uint64_t netns_of(int fd)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size), errno);
	return cookie;
}

static void bring_loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	assert_return_code(fd, errno);
	assert_return_code(ioctl(fd, SIOCSIFFLAGS, &request), errno);
}

void enter_netns(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		assert_return_code(unshare(CLONE_NEWUSER | CLONE_NEWNET), errno);
	bring_loopback_up();
	/* allow ICMP sockets to every group; this fails without privileges, and is not needed then */
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "0 2147483647", 12);
		assert_return_code(close(fd), errno);
	}
}

int new_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	assert_return_code(fd, errno);
	return fd;
}

uint16_t bind_to_port(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool is_ipv6 = strchr(address, ':') != NULL;
	struct sockaddr *any = is_ipv6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t size = is_ipv6 ? sizeof(in6) : sizeof(in);

	assert_int_equal(
		inet_pton(any->sa_family, address, is_ipv6 ? (void *)&in6.sin6_addr : &in.sin_addr), 1);
	assert_return_code(bind(fd, any, size), errno);
	assert_return_code(getsockname(fd, any, &size), errno);
	return ntohs(is_ipv6 ? in6.sin6_port : in.sin_port);
}

uint16_t bind_to(int fd, const char *address)
{
	return bind_to_port(fd, address, 0);
}

int family_of(const char *address)
{
	return strchr(address, ':') ? AF_INET6 : AF_INET;
}

int make_udp(const char *address)
{
	int fd = new_socket(family_of(address), SOCK_DGRAM, 0);

	bind_to(fd, address);
	return fd;
}

int make_listener(const char *address, int protocol)
{
	int fd = new_socket(family_of(address), SOCK_STREAM, protocol);

	bind_to(fd, address);
	assert_return_code(listen(fd, 4), errno);
	return fd;
}

void connect_to_socket(int fd, int other)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	assert_return_code(getsockname(other, (struct sockaddr *)&address, &size), errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, size), errno);
}

static const struct {
	int level, option;
} options[] = {
	{SOL_SOCKET, SO_ACCEPTCONN},
	{SOL_SOCKET, SO_BINDTODEVICE},
	{SOL_SOCKET, SO_BROADCAST},
	{SOL_SOCKET, SO_BUSY_POLL},
	{SOL_SOCKET, SO_DEBUG},
	{SOL_SOCKET, SO_DOMAIN},
	{SOL_SOCKET, SO_DONTROUTE},
	{SOL_SOCKET, SO_KEEPALIVE},
	{SOL_SOCKET, SO_LINGER},
	{SOL_SOCKET, SO_MARK},
	{SOL_SOCKET, SO_OOBINLINE},
	{SOL_SOCKET, SO_PASSCRED},
	{SOL_SOCKET, SO_PRIORITY},
	{SOL_SOCKET, SO_PROTOCOL},
	{SOL_SOCKET, SO_RCVBUF},
	{SOL_SOCKET, SO_RCVLOWAT},
	{SOL_SOCKET, SO_RCVTIMEO},
	{SOL_SOCKET, SO_REUSEADDR},
	{SOL_SOCKET, SO_REUSEPORT},
	{SOL_SOCKET, SO_RXQ_OVFL},
	{SOL_SOCKET, SO_SNDBUF},
	{SOL_SOCKET, SO_SNDTIMEO},
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TYPE},
	{IPPROTO_IP, IP_FREEBIND},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IP, IP_TOS},
	{IPPROTO_IP, IP_TRANSPARENT},
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_V6ONLY},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{IPPROTO_TCP, TCP_FASTOPEN},
	{IPPROTO_TCP, TCP_NODELAY},
};

_Static_assert(ARRAY_SIZE(options) <= ARRAY_SIZE(((struct look *)0)->options), "a look has room for all");

void take_look(int fd, struct look *look)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT};
	socklen_t size;

	memset(look, 0, sizeof(*look));
	look->status_flags = fcntl(fd, F_GETFL);
	look->descriptor_flags = fcntl(fd, F_GETFD);
	look->offset = lseek(fd, 0, SEEK_CUR);
	assert_return_code(poll(&poll_fd, 1, 0), errno);
	look->events = poll_fd.revents;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		look->options[i].size = sizeof(look->options[i].value);
		look->options[i].result = getsockopt(fd, options[i].level, options[i].option,
			look->options[i].value, &look->options[i].size);
	}
	size = sizeof(look->local);
	(void)getsockname(fd, (struct sockaddr *)&look->local, &size);
	size = sizeof(look->peer);
	(void)getpeername(fd, (struct sockaddr *)&look->peer, &size);
}
