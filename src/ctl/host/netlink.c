/* SPDX-License-Identifier: BSD-3-Clause */
#include "netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../../util/macro.h"

#define ANSWER_SECONDS 10
#define ATTEMPTS 10
/* the kernel fills at most 32 kB at a time */
#define BUFFER_SIZE 32768

static void socket_closep(struct mnl_socket **socket)
{
	if (*socket)
		(void)mnl_socket_close(*socket);
}

/* mnl_nlmsg_ok() of libmnl 1.0.4 accepts a length above INT_MAX */
static bool is_netlink(const void *data, size_t size)
{
	const struct nlmsghdr *header = data;
	int left = (int)size;

	while (mnl_nlmsg_ok(header, left) && header->nlmsg_len <= (unsigned)left)
		header = mnl_nlmsg_next(header, &left);
	return left <= 0;
}

static int ask_once(int bus, struct nlmsghdr *header, mnl_cb_t function, void *userdata)
{
	_cleanup_(socket_closep) struct mnl_socket *netlink = mnl_socket_open2(bus, SOCK_CLOEXEC);
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	int r = MNL_CB_OK;

	if (!netlink || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
			0 ||
		mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		ssize_t size = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));

		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!is_netlink(buffer, (size_t)size))
			return -EBADMSG;
		r = mnl_cb_run(buffer, (size_t)size, header->nlmsg_seq, mnl_socket_get_portid(netlink),
			function, userdata);
	}
	if (r >= 0)
		return 0;
	/* what the answer says, unless libmnl found it malformed */
	return errno > 0 && errno <= ERRNO_MAX ? -errno : -EBADMSG;
}

int netlink_ask(
	int bus, struct nlmsghdr *header, mnl_cb_t function, void (*reset)(void *userdata), void *userdata)
{
	int r = -EINTR;

	header->nlmsg_seq = 1;
	header->nlmsg_flags |= NLM_F_REQUEST;
	/* a list that changed while it was read */
	for (unsigned i = 0; i < ATTEMPTS && r == -EINTR; i++) {
		if (reset)
			reset(userdata);
		r = ask_once(bus, header, function, userdata);
	}
	return r;
}
