/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: let_in OBJECT PINS NAME ipv4|ipv6 FD [silent]
 *
 * Does what the sock_ops program of usher-discover does when a socket begins to listen: puts it into `early` for the
 * seat of a name, and writes a record into `events` unless `silent` is given. OBJECT is listened.bpf.o.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../../bpf/usher-bpf.h"

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "let_in: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_pin(const char *folder, const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail(path);
	return fd;
}

static uint32_t find_seat(int seats, const char *name, int family)
{
	for (uint32_t number = 1; number < USHER_SEATS_MAX; number++) {
		struct usher_seat seat;

		if (bpf_map_lookup_elem(seats, &number, &seat) == 0 && seat.used &&
			!strcmp(seat.name, name) && seat.protocol == IPPROTO_TCP && seat.family == family)
			return number;
	}
	errno = ENOENT;
	fail(name);
}

static struct usher_event make_event(uint32_t seat, int fd)
{
	struct usher_event event = {.version = USHER_EVENT_VERSION,
		.reason = USHER_EVENT_LISTENED,
		.seat = seat,
		.protocol = IPPROTO_TCP};
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} local;
	socklen_t size = sizeof(local);

	if (getsockname(fd, &local.any, &size) < 0)
		fail("getsockname");
	event.family = (uint8_t)local.any.sa_family;
	if (event.family == AF_INET6) {
		memcpy(event.local_address, &local.in6.sin6_addr, 16);
		event.local_port = ntohs(local.in6.sin6_port);
	} else {
		memcpy(event.local_address, &local.in.sin_addr, 4);
		event.local_port = ntohs(local.in.sin_port);
	}
	return event;
}

static void write_event(const char *path, int events, struct usher_event *event)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = event, .ctx_size_in = sizeof(*event));
	struct bpf_object *object = bpf_object__open(path);

	if (!object || bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "events"), events) ||
		bpf_object__load(object))
		fail(path);
	if (bpf_prog_test_run_opts(
		    bpf_program__fd(bpf_object__find_program_by_name(object, "write_record")), &options) ||
		options.retval)
		fail("record");
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	struct usher_event event;
	uint32_t seat;
	uint64_t value;

	if (argc < 6)
		return 2;
	value = (uint64_t)atoi(argv[5]);
	seat = find_seat(open_pin(argv[2], "seats"), argv[3], strcmp(argv[4], "ipv6") ? AF_INET : AF_INET6);
	if (bpf_map_update_elem(open_pin(argv[2], "early"), &seat, &value, BPF_ANY))
		fail("early");
	event = make_event(seat, (int)value);
	if (argc == 6)
		write_event(argv[1], open_pin(argv[2], "events"), &event);
	return 0;
}
