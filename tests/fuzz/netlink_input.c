/* SPDX-License-Identifier: BSD-3-Clause */
#include "netlink_input.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/socket.h>

static struct {
	const uint8_t *data;
	size_t size;
	void *poisoned; /* the rest of the buffer, after the datagram in it */
	size_t n_poisoned;
} input;

static void heal(void)
{
	if (input.n_poisoned)
		__asan_unpoison_memory_region(input.poisoned, input.n_poisoned);
	input.n_poisoned = 0;
}

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	(void)bus;
	(void)flags;
	return (struct mnl_socket *)&input;
}

int mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid)
{
	(void)socket;
	(void)groups;
	(void)pid;
	return 0;
}

int mnl_socket_get_fd(const struct mnl_socket *netlink)
{
	static int fd = -1;

	(void)netlink;
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd;
}

unsigned mnl_socket_get_portid(const struct mnl_socket *socket)
{
	(void)socket;
	return 1;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *request, size_t size)
{
	(void)socket;
	(void)request;
	return (ssize_t)size;
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer, size_t room)
{
	size_t length;

	(void)socket;
	heal();
	if (input.size < 2) {
		errno = EAGAIN;
		return -1;
	}
	length = input.data[0] | (size_t)input.data[1] << 8;
	input.data += 2;
	input.size -= 2;
	length = length < input.size ? length : input.size;
	length = length < room ? length : room;
	memcpy(buffer, input.data, length);
	input.data += length;
	input.size -= length;
	input.poisoned = (char *)buffer + length;
	input.n_poisoned = room - length;
	__asan_poison_memory_region(input.poisoned, input.n_poisoned);
	return (ssize_t)length;
}

int mnl_socket_close(struct mnl_socket *socket)
{
	(void)socket;
	heal();
	return 0;
}

void netlink_input_set(const uint8_t *data, size_t size)
{
	input.data = data;
	input.size = size;
}
