/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../util/macro.h"

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* include/linux/socket.h of Linux 6.5; Debian 12's C library does not have it */
#endif

/* Room for everything that the kernel can attach; a union, because a cmsghdr must be aligned. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) +
		   CMSG_SPACE(sizeof(int))];
};

/* Takes in one SCM_RIGHTS. Closes descriptors that do not fit in the packet. Returns how many did not fit. */
static size_t packet_add_fds(struct packet *packet, const unsigned char *data, size_t n_bytes)
{
	size_t n_left_out = 0;

	for (; n_bytes >= sizeof(int); data += sizeof(int), n_bytes -= sizeof(int)) {
		int fd;

		memcpy(&fd, data, sizeof(fd));
		if (packet->n_fds < PACKET_FDS_MAX) {
			packet->fds[packet->n_fds++] = fd;
		} else {
			closep(&fd);
			n_left_out++;
		}
	}
	return n_left_out;
}

/* Returns how many descriptors did not fit: the kernel's limit for senders keeps that at 0. */
static size_t packet_add_control(struct packet *packet, struct msghdr *header)
{
	size_t n_left_out = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n_bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			n_left_out += packet_add_fds(packet, CMSG_DATA(c), n_bytes);
		} else if (c->cmsg_type == SCM_CREDENTIALS && n_bytes == sizeof(struct ucred)) {
			memcpy(&packet->credentials, CMSG_DATA(c), sizeof(struct ucred));
			packet->has_credentials = true;
		} else if (c->cmsg_type == SCM_PIDFD && n_bytes == sizeof(int)) {
			closep(&packet->pidfd);
			memcpy(&packet->pidfd, CMSG_DATA(c), sizeof(int));
			/* The kernel puts a negative errno here when it could not make one. */
			if (packet->pidfd < 0)
				packet->pidfd = -1;
		}
	}
	return n_left_out;
}

/* What is the same whether the packet was received or only looked at. */
static int packet_take_text(
	struct packet *packet, const struct msghdr *header, ssize_t n, struct refusal *refusal)
{
	if (n > (ssize_t)PACKET_TEXT_MAX || header->msg_flags & MSG_TRUNC)
		return refuse(refusal, EMSGSIZE, "the packet has %zd bytes of text, at most %u are allowed",
			n, PACKET_TEXT_MAX);
	if (n == 0 && header->msg_controllen == 0)
		/* At end-of-file there is no control data. An empty packet has some if it carries
		 * descriptors, and always if the receiver asks for credentials. */
		return PACKET_END;
	packet->size = (size_t)n;
	packet->text[packet->size] = '\0';
	return 0;
}

int packet_receive(int socket, struct packet *packet, struct refusal *refusal)
{
	struct iovec iov = {.iov_base = packet->text, .iov_len = PACKET_TEXT_MAX};
	union control control;
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	size_t n_left_out;
	ssize_t n;
	int r;

	/* MSG_TRUNC returns the full length of a packet that is too long, for the refusal. */
	n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (n < 0) {
		r = errno == EAGAIN || errno == EINTR ? PACKET_AGAIN : -errno;
		packet_deinit(packet);
		return r;
	}
	n_left_out = packet_add_control(packet, &header);

	if (n_left_out || header.msg_flags & MSG_CTRUNC)
		r = refuse(refusal, EMFILE,
			"descriptors of the packet were cut off, %zu arrived: either the receiver has reached its limit of open files (RLIMIT_NOFILE), or a security module (SELinux, AppArmor) denies it these descriptors",
			packet->n_fds);
	else
		r = packet_take_text(packet, &header, n, refusal);
	if (r == PACKET_END)
		packet_deinit(packet);
	if (r != 0)
		packet->text[0] = '\0';
	return r;
}

int packet_receive_with_pidfd(int socket, struct packet *packet, struct refusal *refusal)
{
	int on = 1, off = 0, r;

	(void)setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)); /* Linux 6.5 */
	r = packet_receive(socket, packet, refusal);
	(void)setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &off, sizeof(off));
	return r;
}

int packet_peek(int socket, struct packet *packet, bool *ret_has_fds, struct refusal *refusal)
{
	/* room for only the credentials, which come first (scm_recv() in include/net/scm.h) */
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = packet->text, .iov_len = PACKET_TEXT_MAX};
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &header, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	int r;

	if (n < 0) {
		packet->text[0] = '\0';
		return errno == EAGAIN || errno == EINTR ? PACKET_AGAIN : -errno;
	}
	(void)packet_add_control(packet, &header);
	*ret_has_fds = header.msg_flags & MSG_CTRUNC;
	r = packet_take_text(packet, &header, n, refusal);
	if (r != 0)
		packet->text[0] = '\0';
	return r;
}

bool packet_skip(int socket)
{
	char byte;

	return recv(socket, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) > 0;
}

void packet_deinit(struct packet *packet)
{
	for (size_t i = 0; i < packet->n_fds; i++)
		closep(&packet->fds[i]);
	closep(&packet->pidfd);
	packet->n_fds = 0;
	packet->pidfd = -1;
	packet->has_credentials = false;
	packet->size = 0;
	packet->text[0] = '\0';
}

int packet_send(int socket, const char *text, size_t size, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (!size) /* the receiver would take it for end-of-file */
		return -EINVAL;
	if (size > PACKET_TEXT_MAX)
		return -EMSGSIZE;
	if (n_fds > PACKET_FDS_MAX)
		return -E2BIG;
	if (n_fds) {
		size_t n_bytes = n_fds * sizeof(int);

		memset(&control, 0, CMSG_SPACE(n_bytes));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_bytes);
		memcpy(CMSG_DATA(&control.header), fds, n_bytes);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n_bytes);
	}
	do {
		n = sendmsg(socket, &header, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
