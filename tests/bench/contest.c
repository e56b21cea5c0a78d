/* SPDX-License-Identifier: BSD-3-Clause */
#include "contest.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/world.h"
#include "empty.skel.h"
#include "samples.h"

/* One round of one program; Return: the mean over the addresses */
static double run(const struct contest *contest, size_t i, struct world_packet *packet,
	uint8_t addresses[CONTEST_ADDRESSES][16], const char *row)
{
	enum contest_outcome outcome = contest->programs[i].outcome;
	double sum = 0;

	for (size_t k = 0; k < CONTEST_ADDRESSES; k++) {
		struct world_verdict verdict;

		memcpy(packet->address, addresses[k], sizeof(packet->address));
		verdict = world_run(contest->programs[i].program, packet,
			contest->quick ? 16 : CONTEST_RUNS / CONTEST_ADDRESSES);
		if (verdict.error || !!verdict.cookie != (outcome == SELECTS) ||
			verdict.pass != (outcome != REFUSES)) {
			fprintf(stderr, "%s, %s: not the expected verdict\n", row,
				contest->programs[i].column);
			exit(1);
		}
		sum += verdict.nanoseconds;
	}
	return sum / CONTEST_ADDRESSES;
}

void contest_run(struct contest *contest, const char *what, int family,
	uint8_t addresses[CONTEST_ADDRESSES][16], uint16_t port)
{
	struct world_packet packet = {.family = family, .protocol = IPPROTO_TCP, .port = port};
	unsigned rounds = contest->quick ? 2 : CONTEST_ROUNDS;
	struct samples samples[CONTEST_PROGRAMS_MAX];
	char row[80];

	(void)snprintf(row, sizeof(row), "%s, %s", family == AF_INET ? "IPv4" : "IPv6", what);
	for (size_t i = 0; i < contest->n_programs; i++)
		samples[i] = (struct samples){.table = contest->table,
			.row = row,
			.column = contest->programs[i].column,
			.unit = "ns",
			.baseline = i ? contest->programs[0].column : NULL,
			.n = rounds};
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < contest->n_programs; i++) {
			size_t next = round & 1 ? contest->n_programs - 1 - i : i;

			samples[next].values[round] = run(contest, next, &packet, addresses, row);
		}
	for (size_t i = 0; i < contest->n_programs; i++)
		samples_print(&samples[i]);
}

size_t contest_size(const struct contest *contest, size_t n)
{
	return contest->quick && n > 10000 ? n / 10 : n;
}

int contest_load_empty(void)
{
	struct empty *empty = empty__open_and_load();
	int fd = empty ? fcntl(bpf_program__fd(empty->progs.empty), F_DUPFD_CLOEXEC, 3) : -1;

	if (fd < 0) {
		fprintf(stderr, "cannot load the empty program: %s\n", strerror(errno));
		exit(1);
	}
	empty__destroy(empty);
	return fd;
}
