/* SPDX-License-Identifier: BSD-3-Clause */
#include "pidfd.h"

#include <poll.h>

bool pidfd_is_alive(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	return pidfd >= 0 && poll(&poll_fd, 1, 0) == 0;
}
