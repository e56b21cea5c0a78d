/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The bytes of one connection
 *
 * The kernel discards them instead of copying them (MSG_TRUNC of tcp(7)), so that the server is the bottleneck.
 */

#include <errno.h>
#include <sys/socket.h>

#include "load.h"
#include "util/macro.h"

#define PART (1024 * 1024)

int load_stream(const struct load *load, struct outcome *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = 5};
	struct linger reset = {.l_onoff = 1};
	uint64_t start;
	char byte = 's';

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
		connect(fd, (const struct sockaddr *)&load->target, sizeof(load->target)) < 0 ||
		send(fd, &byte, 1, MSG_NOSIGNAL) < 0)
		return -errno;
	if (recv(fd, &byte, 1, 0) != 1)
		return -EPIPE;
	start = load_clock();
	do {
		ssize_t n = recv(fd, NULL, PART, MSG_TRUNC);

		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		ret->done += (uint64_t)n;
		ret->duration = load_clock() - start;
	} while (!load_is_over(load, ret, ret->duration));
	return 0;
}
