/* SPDX-License-Identifier: BSD-3-Clause */

/* The program itself, run on single packets: verdicts, places, counters */

#undef NDEBUG
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/world.h"
#include "util/macro.h"

static struct world world;

static struct world_verdict run4(int protocol, const char *address, uint16_t port)
{
	struct world_packet packet = {.family = AF_INET, .protocol = protocol, .port = port};

	assert_int_equal(inet_pton(AF_INET, address, packet.address), 1);
	return world_run(world.generation->program, &packet, 1);
}

static struct world_verdict run6(int protocol, const char *address, uint16_t port)
{
	struct world_packet packet = {.family = AF_INET6, .protocol = protocol, .port = port};

	assert_int_equal(inet_pton(AF_INET6, address, packet.address), 1);
	return world_run(world.generation->program, &packet, 1);
}

static void assert_selects(struct world_verdict verdict, int fd)
{
	assert_int_equal(verdict.error, 0);
	assert_true(verdict.pass);
	assert_int_equal(verdict.cookie, fd >= 0 ? world_cookie(fd) : 0);
}

static void assert_refuses(struct world_verdict verdict)
{
	assert_int_equal(verdict.error, 0);
	assert_false(verdict.pass);
	assert_int_equal(verdict.cookie, 0);
}

static struct usher_counters counters(uint32_t seat)
{
	struct usher_counters count;

	assert_int_equal(registry_read_counters(&world.registry, seat, &count), 0);
	return count;
}

static uint64_t refused_device(uint32_t seat)
{
	uint64_t count;

	assert_int_equal(registry_read_refused_device(&world.registry, seat, &count), 0);
	return count;
}

/* lookups = dispatched + missing + refused_* */
static void assert_counters_add_up(uint32_t seat, uint64_t dispatched)
{
	struct usher_counters count = counters(seat);

	assert_int_equal(count.lookups, dispatched + count.missing + count.refused_family +
						count.refused_protocol + count.refused_state +
						count.refused_exists + count.refused_other +
						refused_device(seat));
}

static void test_no_rule_passes(void **state)
{
	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=192.0.2.0/24:80\n", NULL));
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 81), -1);
	assert_selects(run4(IPPROTO_TCP, "192.0.3.1", 80), -1);
	assert_selects(run4(IPPROTO_UDP, "192.0.2.1", 80), -1);
	assert_selects(run6(IPPROTO_TCP, "2001:db8::1", 80), -1);
	assert_int_equal(counters(world_seat(&world, "web", IPPROTO_TCP, AF_INET)).lookups, 0);
}

static void test_missing(void **state)
{
	(void)state;
	world_load(&world, world_parse("passes", "[Rule]\nStream=81\nMissing=pass\n", "refuses",
				   "[Rule]\nStream=80\n", NULL));
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 81), -1);
	assert_refuses(run6(IPPROTO_TCP, "2001:db8::1", 80));
	assert_int_equal(counters(world_seat(&world, "refuses", IPPROTO_TCP, AF_INET)).missing, 1);
	assert_int_equal(counters(world_seat(&world, "passes", IPPROTO_TCP, AF_INET)).missing, 1);
	assert_int_equal(counters(world_seat(&world, "refuses", IPPROTO_TCP, AF_INET6)).missing, 1);
}

/* The newest serves. When it closes, the kernel falls back to the previous one by itself. */
static void test_places(void **state)
{
	int fds[USHER_PLACES_MAX];
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	for (unsigned i = 0; i < USHER_PLACES_MAX; i++) {
		fds[i] = world_listen(IPPROTO_TCP, AF_INET);
		(void)world_seat_socket(&world, seat, fds[i]);
		assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), fds[i]);
	}
	for (unsigned i = USHER_PLACES_MAX; i-- > 0;) {
		assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), fds[i]);
		assert_int_equal(close(fds[i]), 0);
	}
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat).missing, 1);
	assert_counters_add_up(seat, 2 * USHER_PLACES_MAX);
}

/* A listener that was shut down stays in the map, but the kernel does not assign it. */
static void test_shutdown(void **state)
{
	int old = world_listen(IPPROTO_TCP, AF_INET), new = world_listen(IPPROTO_TCP, AF_INET);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	(void)world_seat_socket(&world, seat, old);
	(void)world_seat_socket(&world, seat, new);
	assert_int_equal(shutdown(new, SHUT_RDWR), 0);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), old);
	assert_int_equal(shutdown(old, SHUT_RDWR), 0);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat).refused_state, 1);
	assert_int_equal(listen(new, 1), 0);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), new);
	assert_counters_add_up(seat, 2);
	(void)close(old);
	(void)close(new);
}

/* Sockets that the broker never accepts are counted too. */
static void test_wrong_sockets(void **state)
{
	int udp = world_listen(IPPROTO_UDP, AF_INET), v6only = world_listen(IPPROTO_TCP, AF_INET6);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	(void)world_seat_socket(&world, seat, udp);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat).refused_protocol, 1);
	(void)close(udp);
	(void)world_seat_socket(&world, seat, v6only);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat).refused_family, 1);
	(void)close(v6only);
	assert_counters_add_up(seat, 0);
}

static void bind_to(int fd, int device)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof(device)), 0);
}

/*
 * BPF_PROG_TEST_RUN has no device: what is bound to one cannot take the packet. The device counts that the socket is
 * bound to now, not the one of its hand-in.
 */
static void test_devices(void **state)
{
	const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	uint64_t sum;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		int old = world_listen(protocols[i], AF_INET), new = world_listen(protocols[i], AF_INET);
		uint32_t seat;

		world_load(&world, world_parse("web", "[Rule]\nStream=80\nDatagram=80\n", NULL));
		seat = world_seat(&world, "web", protocols[i], AF_INET);
		(void)world_seat_socket(&world, seat, old);
		(void)world_seat_socket(&world, seat, new);
		assert_selects(run4(protocols[i], "192.0.2.1", 80), new);
		bind_to(new, 1);
		assert_selects(run4(protocols[i], "192.0.2.1", 80), old);
		assert_int_equal(refused_device(seat), 0);
		bind_to(old, 1);
		assert_refuses(run4(protocols[i], "192.0.2.1", 80));
		assert_int_equal(refused_device(seat), 1);
		assert_counters_add_up(seat, 2);
		assert_int_equal(registry_sum_refused_device(&world.registry, &sum), 0);
		assert_int_equal(sum, 1);
		/* a reused seat starts from zero */
		world_load(&world, world_parse("other", "[Rule]\nStream=80\nDatagram=80\n", NULL));
		assert_int_equal(refused_device(world_seat(&world, "other", protocols[i], AF_INET)), 0);
		(void)close(old);
		(void)close(new);
	}
}

static void test_withdrawal(void **state)
{
	int old = world_listen(IPPROTO_UDP, AF_INET6), new = world_listen(IPPROTO_UDP, AF_INET6);
	uint32_t seat, old_slot, new_slot;

	(void)state;
	world_load(&world, world_parse("dns", "[Rule]\nDatagram=53\n", NULL));
	seat = world_seat(&world, "dns", IPPROTO_UDP, AF_INET6);
	old_slot = world_seat_socket(&world, seat, old);
	new_slot = world_seat_socket(&world, seat, new);
	assert_selects(run6(IPPROTO_UDP, "2001:db8::1", 53), new);
	registry_remove(&world.registry, seat, new_slot);
	assert_selects(run6(IPPROTO_UDP, "2001:db8::1", 53), old);
	registry_remove(&world.registry, seat, old_slot);
	assert_refuses(run6(IPPROTO_UDP, "2001:db8::1", 53));
	(void)close(old);
	(void)close(new);
}

/* A staged socket is invisible until it is committed, and leaves no trace if it is not. */
static void test_stage(void **state)
{
	int fd = world_listen(IPPROTO_TCP, AF_INET);
	const struct usher_place place = {.cookie = world_cookie(fd)};
	const struct registry_kin kin = {.kind = USHER_KIND_UNKNOWN};
	struct registry_place first;
	struct refusal refusal;
	uint32_t seat, slot;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	assert_int_equal(registry_reserve(&world.registry, seat, &place, &kin, 0, &slot, &refusal), 0);
	world_put(&world, seat, slot, fd);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	registry_unstage(&world.registry, seat, slot);
	assert_false(registry_read_first(&world.registry, seat, &first));
	for (unsigned i = 0; i < USHER_PLACES_MAX; i++)
		(void)world_seat_socket(&world, seat, fd);
	assert_int_equal(registry_reserve(&world.registry, seat, &place, &kin, 0, &slot, &refusal), REFUSED);
	assert_int_equal(refusal.error, ENOSPC);
	assert_non_null(strstr(refusal.text, "'web' has 8 live TCP sockets for IPv4"));
	(void)close(fd);
	assert_int_equal(registry_reap(&world.registry, seat, NULL), 0);
}

static void count_on_each_cpu(uint32_t seat, uint64_t lookups)
{
	const struct registry *registry = &world.registry;

	for (unsigned i = 0; i < registry->n_cpus; i++)
		registry->cpus[i] = (struct usher_counters){.lookups = lookups};
	assert_int_equal(
		bpf_map_update_elem(registry->maps[REGISTRY_COUNTERS], &seat, registry->cpus, BPF_ANY), 0);
}

/* The counters of free seats are left out of the sum, in whichever batch they are. */
static void test_counters_of_all_seats(void **state)
{
	struct registry *registry = &world.registry;
	uint32_t seats[3 * REGISTRY_BATCH];
	struct usher_counters sum;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	for (size_t i = 0; i < ARRAY_SIZE(seats); i++) {
		seats[i] = registry_take_seat(registry, "more", IPPROTO_TCP, AF_INET);
		count_on_each_cpu(seats[i], 1000);
	}
	assert_int_equal(registry_sum_counters(registry, &sum), 0);
	assert_int_equal(sum.lookups, 1 + ARRAY_SIZE(seats) * 1000 * registry->n_cpus);
	assert_int_equal(sum.missing, 1);
	for (size_t i = 0; i < ARRAY_SIZE(seats) - 1; i++)
		registry_free_seat(registry, seats[i]);
	assert_int_equal(registry_sum_counters(registry, &sum), 0);
	assert_int_equal(sum.lookups, 1 + 1000 * registry->n_cpus);
}

/* The last seat is at the end of the map, where a batch is shorter. */
static void test_counters_of_the_last_seat(void **state)
{
	struct usher_counters sum;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	while (registry_take_seat(&world.registry, "more", IPPROTO_TCP, AF_INET))
		;
	count_on_each_cpu(USHER_SEATS_MAX - 1, 7);
	assert_int_equal(registry_sum_counters(&world.registry, &sum), 0);
	assert_int_equal(sum.lookups, 7 * world.registry.n_cpus);
}

/* A reused seat starts from zero. */
static void test_counters_start_at_zero(void **state)
{
	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	world_load(&world, world_parse("other", "[Rule]\nStream=80\n", NULL));
	assert_int_equal(counters(world_seat(&world, "other", IPPROTO_TCP, AF_INET)).lookups, 0);
	assert_int_equal(counters(world_seat(&world, "other", IPPROTO_TCP, AF_INET)).missing, 0);
}

static void put_early(uint32_t seat, int fd)
{
	uint64_t value = (uint64_t)fd;

	assert_int_equal(bpf_map_update_elem(world.registry.maps[REGISTRY_EARLY], &seat, &value, BPF_ANY), 0);
}

/* Places come first, the serving one and then the others. The early listener takes what they cannot. */
static void test_early(void **state)
{
	int early = world_listen(IPPROTO_TCP, AF_INET), old = world_listen(IPPROTO_TCP, AF_INET),
	    new = world_listen(IPPROTO_TCP, AF_INET);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	put_early(seat, early);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), early);
	assert_int_equal(registry_read_early(&world.registry, seat), world_cookie(early));
	(void)world_seat_socket(&world, seat, old);
	(void)world_seat_socket(&world, seat, new);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), new);
	(void)close(new);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), old);
	assert_int_equal(shutdown(old, SHUT_RDWR), 0);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), early);
	assert_counters_add_up(seat, 4);
	assert_int_equal(counters(seat).refused_state, 0);
	registry_clear_early(&world.registry, seat);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat).refused_state, 1);
	(void)close(old);
	(void)close(early);
	assert_counters_add_up(seat, 4);
}

static void test_early_of_each_family(void **state)
{
	int four = world_listen(IPPROTO_TCP, AF_INET), six = world_listen(IPPROTO_TCP, AF_INET6);
	uint32_t seat4, seat6;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat4 = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	seat6 = world_seat(&world, "web", IPPROTO_TCP, AF_INET6);
	put_early(seat6, six);
	assert_selects(run6(IPPROTO_TCP, "2001:db8::1", 80), six);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	put_early(seat4, four);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), four);
	/* if it does not match the family, it is counted like a socket of the seat */
	put_early(seat4, six);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(counters(seat4).refused_family, 1);
	assert_int_equal(counters(seat4).missing, 1);
	assert_counters_add_up(seat4, 1);
	/* a closed socket leaves by itself */
	(void)close(six);
	assert_int_equal(registry_read_early(&world.registry, seat4), 0);
	assert_refuses(run6(IPPROTO_TCP, "2001:db8::1", 80));
	(void)close(four);
}

static void test_early_of_a_device(void **state)
{
	int fd = world_listen(IPPROTO_TCP, AF_INET);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	put_early(seat, fd);
	bind_to(fd, 1);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	assert_int_equal(refused_device(seat), 1);
	(void)close(fd);
	assert_counters_add_up(seat, 0);
}

/*
 * Every combination of two places and an early listener, each absent, free, bound to device 1, or shut down, and of the
 * device by which the packet comes: compared with what the kernel's own lookup would take, the newest first.
 */
enum { ABSENT, FREE, BOUND, SOCKETS = 3, COMBINATIONS = 3 * 3 * 3 };

/* What keeps the packet from a socket; 0: nothing */
static int fault_of(int kind, bool is_down, uint32_t device)
{
	if (kind == BOUND && device != 0 && device != 1)
		return ENODEV;
	return is_down ? ESOCKTNOSUPPORT : 0;
}

/* @down: a set of bits */
static void check_device(uint32_t seat, const int fds[static SOCKETS], const int kinds[static SOCKETS],
	unsigned down, uint32_t device)
{
	struct question_packet packet = {.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.local_address = {192, 0, 2, 1},
		.local_port = 80,
		.device = device};
	struct question_answer answer;
	int error = 0, taker = -1;

	for (int i = 0; i < SOCKETS && taker < 0; i++) {
		if (kinds[i] == ABSENT)
			continue;
		error = fault_of(kinds[i], down >> i & 1, device);
		if (!error)
			taker = i;
	}
	assert_int_equal(question_ask(&world.generation->question, &packet, &answer), 0);
	assert_int_equal(answer.seat, seat);
	assert_int_equal(answer.cookie, taker >= 0 ? world_cookie(fds[taker]) : 0);
	assert_int_equal(answer.error, error);
}

/* Shut down those of @down, and let the others listen. */
static void check_states(
	uint32_t seat, const int fds[static SOCKETS], const int kinds[static SOCKETS], unsigned down)
{
	static const uint32_t devices[] = {0, 1, 7};

	for (int i = 0; i < SOCKETS; i++) {
		assert_int_equal(listen(fds[i], 1), 0);
		if (down >> i & 1)
			assert_int_equal(shutdown(fds[i], SHUT_RDWR), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		check_device(seat, fds, kinds, down, devices[i]);
}

static void check_kinds(const int kinds[static SOCKETS])
{
	int fds[SOCKETS];
	uint32_t seat;

	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	for (int i = SOCKETS - 1; i >= 0; i--) {
		fds[i] = world_listen(IPPROTO_TCP, AF_INET);
		if (kinds[i] == BOUND)
			bind_to(fds[i], 1);
		if (kinds[i] != ABSENT && i == SOCKETS - 1)
			put_early(seat, fds[i]);
		else if (kinds[i] != ABSENT)
			(void)world_seat_socket(&world, seat, fds[i]);
	}
	for (unsigned down = 0; down < 1U << SOCKETS; down++)
		check_states(seat, fds, kinds, down);
	assert_int_equal(counters(seat).lookups + refused_device(seat), 0); /* questions are not counted */
	for (int i = 0; i < SOCKETS; i++)
		assert_int_equal(close(fds[i]), 0);
}

static void test_devices_of_all(void **state)
{
	(void)state;
	for (int combination = 0; combination < COMBINATIONS; combination++)
		check_kinds((const int[SOCKETS]){combination % 3, combination / 3 % 3, combination / 9});
}

static void test_early_before_passing(void **state)
{
	int fd = world_listen(IPPROTO_TCP, AF_INET);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\nMissing=pass\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	put_early(seat, fd);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), fd);
	assert_int_equal(counters(seat).missing, 0);
	(void)close(fd);
	assert_selects(run4(IPPROTO_TCP, "192.0.2.1", 80), -1);
	assert_int_equal(counters(seat).missing, 1);
}

/* The next name that gets the number must not get the listener. */
static void test_early_ends_with_the_seat(void **state)
{
	int fd = world_listen(IPPROTO_TCP, AF_INET);
	uint32_t seat;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=80\n", NULL));
	seat = world_seat(&world, "web", IPPROTO_TCP, AF_INET);
	put_early(seat, fd);
	world_load(&world, world_parse("other", "[Rule]\nStream=80\n", NULL));
	assert_int_equal(world_seat(&world, "other", IPPROTO_TCP, AF_INET), seat);
	assert_refuses(run4(IPPROTO_TCP, "192.0.2.1", 80));
	(void)close(fd);
}

static bool find_early_rule(uint16_t port, struct usher_early_rule *ret)
{
	struct usher_early_key key = {.family = AF_INET, .any = 1, .port = port};

	return bpf_map_lookup_elem(world.registry.maps[REGISTRY_EARLY_RULES], &key, ret) == 0;
}

/* Another set, even a full one, replaces the whole set. */
static void test_early_rules(void **state)
{
	struct registry_early_rule *rules = calloc(USHER_EARLY_MAX, sizeof(*rules));
	struct usher_early_rule found;

	(void)state;
	assert_non_null(rules);
	for (unsigned step = 0; step < 3; step++) {
		for (unsigned i = 0; i < USHER_EARLY_MAX; i++)
			rules[i] = (struct registry_early_rule){
				.key = {.family = AF_INET,
					.any = 1,
					.port = (uint16_t)(1 + i + step * USHER_EARLY_MAX / 2)},
				.rule = {.seat = step + 1},
			};
		qsort(rules, USHER_EARLY_MAX, sizeof(*rules), registry_compare_early_rules);
		assert_int_equal(registry_write_early_rules(&world.registry, rules, USHER_EARLY_MAX), 0);
		for (unsigned i = 0; i < USHER_EARLY_MAX; i++) {
			assert_true(find_early_rule(rules[i].key.port, &found));
			assert_int_equal(found.seat, step + 1);
		}
		assert_false(find_early_rule((uint16_t)(step * USHER_EARLY_MAX / 2), &found));
		assert_false(find_early_rule(
			(uint16_t)(1 + USHER_EARLY_MAX + step * USHER_EARLY_MAX / 2), &found));
	}
	assert_int_equal(registry_write_early_rules(&world.registry, rules, 0), 0);
	for (unsigned i = 0; i < USHER_EARLY_MAX; i++)
		assert_false(find_early_rule(rules[i].key.port, &found));
	free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rule_passes),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_wrong_sockets),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_withdrawal),
		cmocka_unit_test(test_stage),
		cmocka_unit_test(test_counters_of_all_seats),
		cmocka_unit_test(test_counters_of_the_last_seat),
		cmocka_unit_test(test_counters_start_at_zero),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_early_of_each_family),
		cmocka_unit_test(test_early_of_a_device),
		cmocka_unit_test(test_devices_of_all),
		cmocka_unit_test(test_early_before_passing),
		cmocka_unit_test(test_early_ends_with_the_seat),
		cmocka_unit_test(test_early_rules),
	};
	int r;

	world_enter(&world);
	r = cmocka_run_group_tests_name("program", tests, NULL, NULL);
	world_leave(&world);
	return r;
}
