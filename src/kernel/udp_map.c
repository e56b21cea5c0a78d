/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../util/macro.h"

#define ARRIVES_MS 1000
#define TYPES "/sys/kernel/btf/vmlinux"

static const char datagram[] = "usher";

static int make_map(void)
{
	union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 8, .max_entries = 1};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : fd;
}

static int put(int map, int socket)
{
	const uint32_t key = 0;
	const uint64_t value = (uint64_t)socket;
	union bpf_attr attributes = {
		.map_fd = (uint32_t)map,
		.key = (uint64_t)(uintptr_t)&key,
		.value = (uint64_t)(uintptr_t)&value,
	};

	return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof(attributes)) < 0 ? -errno : 0;
}

static int make_socket(struct sockaddr_in *ret)
{
	const struct sockaddr_in loopback = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(*ret);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) < 0 ||
		getsockname(fd, (struct sockaddr *)ret, &size) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int connect_to(int fd, const struct sockaddr_in *address)
{
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

/* With a datagram that waits. */
static int look(int fd, struct udp_map *ret)
{
	char nothing;
	int size = 0;

	if (ioctl(fd, FIONREAD, &size) < 0)
		return -errno;
	ret->hides_size = size == 0;
	ret->ignores_nothing = recv(fd, &nothing, 0, MSG_PEEK | MSG_TRUNC) == 0;
	return 0;
}

int udp_map_try(struct udp_map *ret)
{
	_cleanup_close_ int map = make_map(), receiver = -1, sender = -1;
	struct sockaddr_in here, there;
	struct pollfd arrived = {.events = POLLIN};
	int r;

	if (map < 0)
		return map;
	receiver = make_socket(&here);
	sender = make_socket(&there);
	if (receiver < 0 || sender < 0)
		return receiver < 0 ? receiver : sender;
	r = connect_to(receiver, &there);
	if (!r)
		r = connect_to(sender, &here);
	if (!r)
		r = put(map, receiver);
	if (r)
		return r;
	if (send(sender, datagram, sizeof(datagram), MSG_NOSIGNAL) < 0)
		return -errno;
	arrived.fd = receiver;
	return poll(&arrived, 1, ARRIVES_MS) == 1 ? look(receiver, ret) : -ETIME;
}

int udp_map_read(struct udp_map *ret)
{
	static const char function[] = "\0udp_bpf_ioctl"; /* a name in a table of strings, with both ends */
	_cleanup_close_ int fd = open(TYPES, O_RDONLY | O_CLOEXEC);
	char buffer[65536];
	size_t kept = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	*ret = (struct udp_map){.ignores_nothing = true};
	while ((n = read(fd, buffer + kept, sizeof(buffer) - kept)) > 0) {
		size_t size = kept + (size_t)n;

		if (memmem(buffer, size, function, sizeof(function))) {
			ret->hides_size = true;
			return 0;
		}
		kept = size < sizeof(function) ? size : sizeof(function) - 1;
		memmove(buffer, buffer + size - kept, kept);
	}
	return n < 0 ? -errno : 0;
}
