/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Nanoseconds for one lookup, beside those of an empty program
 *
 * Each row is ROUNDS pairs of BPF_PROG_TEST_RUN, the empty program and the dispatcher in turn, REPEAT runs each; medians
 * of both and the median of the differences, so that a machine that changes its clock changes both alike.
 */

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/world.h"
#include "empty.skel.h"

#define ROUNDS 11
#define REPEAT 1000000

static struct world world;
static int empty_program;

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int median(int *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static void measure(const char *what, int family, const char *address, uint16_t port, bool selects)
{
	struct world_packet packet = {.family = family, .protocol = IPPROTO_TCP, .port = port};
	int empty[ROUNDS], dispatch[ROUNDS], difference[ROUNDS];
	int m_empty, m_dispatch, m_difference;

	if (inet_pton(family, address, packet.address) != 1)
		exit(2);
	for (int i = 0; i < ROUNDS; i++) {
		struct world_verdict none = world_run(empty_program, &packet, REPEAT);
		struct world_verdict some = world_run(world.generation->program, &packet, REPEAT);

		if (none.error || some.error || !some.cookie == selects) {
			fprintf(stderr, "%s: not the expected verdict\n", what);
			exit(1);
		}
		empty[i] = (int)none.nanoseconds;
		dispatch[i] = (int)some.nanoseconds;
		difference[i] = dispatch[i] - empty[i];
	}
	m_empty = median(empty);
	m_dispatch = median(dispatch);
	m_difference = median(difference);
	printf("%-34s %6d %6d %+6d   (%+d to %+d)\n", what, m_empty, m_dispatch, m_difference,
		difference[ROUNDS / 10], difference[ROUNDS - 1 - ROUNDS / 10]);
}

static void seat(const char *name, int family)
{
	(void)world_seat_socket(
		&world, world_seat(&world, name, IPPROTO_TCP, family), world_listen(IPPROTO_TCP, family));
}

int main(void)
{
	struct empty *empty;

	world_enter(&world);
	empty = empty__open_and_load();
	if (!empty) {
		fprintf(stderr, "cannot load the empty program: %s\n", strerror(errno));
		return 1;
	}
	empty_program = bpf_program__fd(empty->progs.empty);
	world_load(&world, world_parse("gone", "[Rule]\nStream=82\n", "port", "[Rule]\nStream=80\n", "prefix",
				   "[Rule]\nStream=192.0.2.0/24:81 [2001:db8::/48]:81\n", NULL));
	seat("port", AF_INET);
	seat("port", AF_INET6);
	seat("prefix", AF_INET);
	seat("prefix", AF_INET6);
	printf("%-34s %6s %6s %6s   (10th to 90th percentile)\n", "ns per lookup", "empty", "usher", "more");
	measure("IPv4, unrelated port", AF_INET, "192.0.2.1", 443, false);
	measure("IPv6, unrelated port", AF_INET6, "2001:db8::1", 443, false);
	measure("IPv4, port rule", AF_INET, "192.0.2.1", 80, true);
	measure("IPv6, port rule", AF_INET6, "2001:db8::1", 80, true);
	measure("IPv4, prefix rule", AF_INET, "192.0.2.1", 81, true);
	measure("IPv6, prefix rule", AF_INET6, "2001:db8::1", 81, true);
	measure("IPv4, related port, other address", AF_INET, "198.51.100.1", 81, false);
	measure("IPv4, no socket: refused", AF_INET, "192.0.2.1", 82, false);
	empty__destroy(empty);
	world_leave(&world);
	return 0;
}
