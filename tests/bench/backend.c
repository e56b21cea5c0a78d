/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: backend FD...    serve inherited sockets: listening TCP sockets, bound UDP sockets
 *
 * The service behind every way of peers.py. The first byte of a connection selects the answer:
 *	'w'  a line: address and port of the peer and of this end, as this end sees them
 *	's'  an endless stream of zeros
 *	any other: that byte
 * and then the client closes. The answer to a datagram comes from the address that it was sent to: to 'w' it is that
 * line, to any other the datagram itself.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "util/macro.h"

#define EVENTS 64
#define AT_ONCE 64 /* datagrams of one socket before the next one has its turn */

enum kind { LISTENER, DATAGRAMS, CONNECTION, STREAM };

static const char zeros[256 * 1024];

static int watch(int epoll, int operation, enum kind kind, int fd)
{
	struct epoll_event event = {.events = kind == STREAM ? EPOLLOUT : EPOLLIN,
		.data.u64 = (uint64_t)kind << 32 | (uint32_t)fd};

	return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

static size_t spell(char *ret, size_t size, const struct sockaddr_in *peer, const struct sockaddr_in *local)
{
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, &peer->sin_addr, from, sizeof(from));
	(void)inet_ntop(AF_INET, &local->sin_addr, to, sizeof(to));
	return (size_t)snprintf(
		ret, size, "%s %u %s %u\n", from, ntohs(peer->sin_port), to, ntohs(local->sin_port));
}

static void tell_who(int fd)
{
	struct sockaddr_in peer = {0}, local = {0};
	socklen_t peer_size = sizeof(peer), local_size = sizeof(local);
	char line[64];

	(void)getpeername(fd, (struct sockaddr *)&peer, &peer_size);
	(void)getsockname(fd, (struct sockaddr *)&local, &local_size);
	(void)send(fd, line, spell(line, sizeof(line), &peer, &local), MSG_NOSIGNAL);
}

static int accept_all(int epoll, int listener)
{
	int fd, r;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		r = watch(epoll, EPOLL_CTL_ADD, CONNECTION, fd);
		if (r < 0)
			return r;
	}
	return errno == EAGAIN || errno == ECONNABORTED ? 0 : -errno;
}

static int answer(int epoll, int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 1)
		return close(fd) < 0 ? -errno : 0;
	switch (byte) {
	case 'w':
		tell_who(fd);
		return 0;
	case 's':
		return watch(epoll, EPOLL_CTL_MOD, STREAM, fd);
	default:
		(void)send(fd, &byte, 1, MSG_NOSIGNAL); /* the next recv(2) shows that a client is gone */
		return 0;
	}
}

static int stream(int fd)
{
	if (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		return close(fd) < 0 ? -errno : 0;
	return 0;
}

/* The answer repeats the control message of the datagram, so it leaves from the address that the client sent to. */
static void answer_from(struct in_pktinfo *info, struct in_addr *ret_local)
{
	*ret_local = info->ipi_addr;
	info->ipi_spec_dst = info->ipi_addr;
	info->ipi_ifindex = 0;
}

static int answer_datagrams(int fd)
{
	for (int i = 0; i < AT_ONCE; i++) {
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		} control;
		char data[2048];
		struct sockaddr_in peer, local = {.sin_family = AF_INET};
		socklen_t size = sizeof(local);
		struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
		struct msghdr message = {.msg_name = &peer,
			.msg_namelen = sizeof(peer),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
		ssize_t length = recvmsg(fd, &message, 0);

		if (length < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (message.msg_controllen < sizeof(control.header))
			return -EPROTO;
		answer_from((struct in_pktinfo *)(void *)CMSG_DATA(&control.header), &local.sin_addr);
		part.iov_len = (size_t)length;
		if (length && data[0] == 'w') {
			struct in_addr asked = local.sin_addr;

			(void)getsockname(fd, (struct sockaddr *)&local, &size);
			local.sin_addr = asked;
			part.iov_len = spell(data, sizeof(data), &peer, &local);
		}
		(void)sendmsg(fd, &message, 0); /* the client counts answers that do not arrive */
	}
	return 0;
}

static int add(int epoll, int fd)
{
	int on = 1, type = 0;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	if (type == SOCK_DGRAM && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	return watch(epoll, EPOLL_CTL_ADD, type == SOCK_DGRAM ? DATAGRAMS : LISTENER, fd);
}

static int serve(int epoll)
{
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1), r = 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && r == 0; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;

			switch ((enum kind)(events[i].data.u64 >> 32)) {
			case LISTENER:
				r = accept_all(epoll, fd);
				break;
			case DATAGRAMS:
				r = answer_datagrams(fd);
				break;
			case CONNECTION:
				r = answer(epoll, fd);
				break;
			case STREAM:
				r = stream(fd);
				break;
			}
		}
		if (r < 0)
			return r;
	}
}

int main(int argc, char **argv)
{
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
	int r = epoll < 0 ? -errno : 0;

	for (int i = 1; i < argc && r == 0; i++)
		r = add(epoll, atoi(argv[i]));
	if (r == 0)
		r = serve(epoll);
	fprintf(stderr, "backend: %s\n", strerror(-r));
	return 1;
}
