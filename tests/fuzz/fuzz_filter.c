/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The rules of nf_tables as the kernel lists them, and a packet that is led through them
 *
 * The first byte chooses the packet. The rest are datagrams, each after its size in two bytes: answers to the lists of
 * chains, tables, rules, sets and flow tables, then the elements of sets. Whatever they are, the walk ends, an act names
 * a chain, and what is said is a text.
 */

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl/filter/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a socket of libmnl that receives the input */

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

/* ---- packets */

static void check_act(const struct act *act, int family)
{
	char text[ACT_TEXT_MAX];

	assert(*act_format(act, family, text));
	assert(*act_format_command(act, text));
	if (act->doubt.causes)
		assert(*act_format_doubt(act, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset ruleset;
	struct refusal refusal;
	struct probe probe = {.has_destination = true, .has_port = true, .port = 80, .asked_port = 80};
	struct acts acts;

	if (!size)
		return 0;
	input.data = data + 1;
	input.size = size - 1;
	probe.family = data[0] & 1 ? AF_INET6 : AF_INET;
	probe.protocol = data[0] & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	probe.own = data[0] & 4;
	probe.source_causes = data[0] & 8 ? CAUSE_SOURCE : 0;
	probe.has_source = !probe.source_causes;
	probe.device = data[0] & 16 ? 2 : 0;
	probe.device_causes = probe.device ? 0 : CAUSE_DEVICE | CAUSE_NOT_LOOPBACK;
	if (ruleset_read(&ruleset, &refusal) == 0) {
		if (walk_run(&ruleset, &probe, &acts) == 0)
			for (size_t i = 0; i < acts.n; i++)
				check_act(&acts.items[i], probe.family);
		acts_deinit(&acts);
	}
	ruleset_deinit(&ruleset);
	return 0;
}
