/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Nanoseconds for one lookup, next to those of an empty program
 *
 * Both are loaded as the broker loads its program, without CAP_PERFMON: the verifier then adds instructions against
 * Spectre, and array maps mask their index.
 */

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bpf/world.h"
#include "contest.h"
#include "crowd.h"
#include "samples.h"

#define PORT 80 /* of the crowds */

static struct world world;
static struct contest contest = {
	.table = "lookup",
	.programs = {{.column = "empty", .outcome = PASSES}, {.column = "usher"}},
	.n_programs = 2,
};

static void measure(const char *what, int family, uint8_t addresses[CONTEST_ADDRESSES][16], uint16_t port,
	enum contest_outcome outcome)
{
	contest.programs[1].program = world.generation->program;
	contest.programs[1].outcome = outcome;
	contest_run(&contest, what, family, addresses, port);
}

/* For rows with a single address */
static void measure_one(const char *what, int family, const char *address4, const char *address6,
	uint16_t port, enum contest_outcome expected)
{
	uint8_t addresses[CONTEST_ADDRESSES][16] = {};

	for (size_t i = 0; i < CONTEST_ADDRESSES; i++)
		if (inet_pton(family, family == AF_INET ? address4 : address6, addresses[i]) != 1)
			exit(2);
	measure(what, family, addresses, port, expected);
}

/* Put one more listener into every seat of the name. */
static int seat(const char *name, int family)
{
	int fd = world_listen(IPPROTO_TCP, family);

	(void)world_seat_socket(&world, world_seat(&world, name, IPPROTO_TCP, family), fd);
	return fd;
}

static void measure_rules(int family)
{
	int fds[USHER_PLACES_MAX];

	world_load(&world, world_parse("exact", "[Rule]\nStream=192.0.2.1:81 [2001:db8::1]:81\n", "gone",
				   "[Rule]\nStream=83\n", "passes", "[Rule]\nStream=84\nMissing=pass\n",
				   "port", "[Rule]\nStream=80\n", "prefix",
				   "[Rule]\nStream=192.0.2.0/24:82 [2001:db8::/48]:82\n", NULL));
	fds[0] = seat("port", family);
	(void)seat("exact", family);
	(void)seat("prefix", family);
	measure_one("unrelated port", family, "192.0.2.1", "2001:db8::1", 443, PASSES);
	measure_one("port rule, front hit", family, "192.0.2.1", "2001:db8::1", 80, SELECTS);
	for (unsigned i = 1; i < USHER_PLACES_MAX; i++)
		fds[i] = seat("port", family);
	(void)close(fds[USHER_PLACES_MAX - 1]);
	measure_one("port rule, place hit", family, "192.0.2.1", "2001:db8::1", 80, SELECTS);
	for (unsigned i = 1; i < USHER_PLACES_MAX - 1; i++)
		(void)close(fds[i]);
	measure_one("port rule, the last of 8 places", family, "192.0.2.1", "2001:db8::1", 80, SELECTS);
	measure_one("missing, refused", family, "192.0.2.1", "2001:db8::1", 83, REFUSES);
	measure_one("missing, Missing=pass", family, "192.0.2.1", "2001:db8::1", 84, PASSES);
	measure_one("related port, other address", family, "198.51.100.1", "2001:db9::1", 82, PASSES);
	measure_one("exact address", family, "192.0.2.1", "2001:db8::1", 81, SELECTS);
	measure_one("prefix", family, "192.0.2.1", "2001:db8::1", 82, SELECTS);
}

/* Somebody listens there. The number stands for the cookie of that socket. */
static void count_listener(int family, const char *address, uint16_t port, uint64_t cookie, uint32_t device)
{
	uint32_t table = family == AF_INET ? USHER_TABLE_TCP4 : USHER_TABLE_TCP6;
	struct usher_obstacle obstacle = {.tuple = {.where = table << 16 | port, .device = device}};

	if (inet_pton(family, address, obstacle.tuple.address) != 1 ||
		obstacles_note(world.obstacles, cookie, &obstacle))
		exit(2);
}

static void measure_order(int family)
{
	const char *other = family == AF_INET ? "192.0.2.9" : "2001:db8::9",
		   *same = family == AF_INET ? "192.0.2.1" : "2001:db8::1",
		   *any = family == AF_INET ? "0.0.0.0" : "::";
	uint64_t cookie = family == AF_INET ? 1 : 11;

	world_load(
		&world, world_parse("before", "[Rule]\nStream=81 91\nOrder=before-wildcard\n", "first",
				"[Rule]\nStream=80\n", "last", "[Rule]\nStream=82 92\nOrder=last\n", NULL));
	(void)seat("before", family);
	(void)seat("first", family);
	(void)seat("last", family);
	measure_one("Order=first beside later orders", family, "192.0.2.1", "2001:db8::1", 80, SELECTS);
	measure_one("Order=before-wildcard, nobody", family, "192.0.2.1", "2001:db8::1", 81, SELECTS);
	measure_one("Order=last, nobody", family, "192.0.2.1", "2001:db8::1", 82, SELECTS);
	count_listener(family, other, 81, cookie, 0);
	count_listener(family, other, 82, cookie + 1, 0);
	measure_one(
		"Order=before-wildcard, another address", family, "192.0.2.1", "2001:db8::1", 81, SELECTS);
	measure_one("Order=last, another address", family, "192.0.2.1", "2001:db8::1", 82, SELECTS);
	count_listener(family, same, 91, cookie + 2, 0);
	count_listener(family, any, 92, cookie + 3, 0);
	measure_one("Order=before-wildcard, yields", family, "192.0.2.1", "2001:db8::1", 91, PASSES);
	measure_one("Order=last, yields to a wildcard", family, "192.0.2.1", "2001:db8::1", 92, PASSES);
	count_listener(family, any, 82, cookie + 4, 9);
	measure_one(
		"Order=last, another address, some device", family, "192.0.2.1", "2001:db8::1", 82, SELECTS);
	for (uint64_t i = 0; i < 5; i++)
		if (obstacles_forget(world.obstacles, cookie + i))
			exit(2);
}

static void measure_crowd(int family, size_t n, bool hosts, const char *row, const char *row_outside)
{
	uint8_t addresses[CONTEST_ADDRESSES][16];
	struct crowd crowd;
	int fd;

	crowd_make(&crowd, family, contest_size(&contest, n), hosts);
	fd = crowd_serve(&crowd, &world, PORT);
	crowd_pick(&crowd, addresses, CONTEST_ADDRESSES);
	measure(row, family, addresses, PORT, SELECTS);
	if (row_outside) {
		crowd_pick_outside(&crowd, addresses, CONTEST_ADDRESSES);
		measure(row_outside, family, addresses, PORT, PASSES);
	}
	(void)close(fd);
	crowd_free(&crowd);
}

static void measure_ports(int family)
{
	world_load(&world, world_parse("any", "[Rule]\nStream=*\n", NULL));
	(void)seat("any", family);
	measure_one("any-port rule, any address", family, "192.0.2.1", "2001:db8::1", 443, SELECTS);
	world_load(&world, world_parse("any", "[Rule]\nStream=192.0.2.1:* [2001:db8::1]:*\n", NULL));
	(void)seat("any", family);
	measure_one("any-port rule, one address", family, "192.0.2.1", "2001:db8::1", 443, SELECTS);
	world_load(&world,
		world_parse("range", "[Rule]\nStream=192.0.2.0/24:1-65535 [2001:db8::/48]:1-65535\n", NULL));
	(void)seat("range", family);
	measure_one("range of 65,535 ports, prefix", family, "192.0.2.1", "2001:db8::1", 443, SELECTS);
	measure_one(
		"range of 65,535 ports, other address", family, "198.51.100.1", "2001:db9::1", 443, PASSES);
}

int main(int argc, char **argv)
{
	contest.quick = samples_quick(argc, argv);
	samples_note("lookup",
		"The programs are loaded with CAP_BPF and CAP_NET_ADMIN only, as usherd loads them");
	world_enter(&world);
	contest.programs[0].program = contest_load_empty();
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		world_load(&world, world_parse(NULL, NULL, NULL));
		measure_one("no rules", family, "192.0.2.1", "2001:db8::1", 443, PASSES);
		measure_rules(family);
		measure_order(family);
		measure_crowd(family, 100000, true, "exact address among 100k", NULL);
		measure_crowd(family, 10, false, "prefix among 10", NULL);
		measure_crowd(family, 1000, false, "prefix among 1k", NULL);
		measure_crowd(
			family, 100000, false, "prefix among 100k", "other address beside 100k prefixes");
		measure_crowd(family, 1000000, false, "prefix among 1M", NULL);
		measure_ports(family);
	}
	world_leave(&world);
	return 0;
}
