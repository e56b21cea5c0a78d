/* SPDX-License-Identifier: BSD-3-Clause */

/* Groups: the members of one place, as the program finds them and as a broker that starts repairs them */

#undef NDEBUG
#include <arpa/inet.h>
#include <bpf/bpf.h>
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
#include "datapath/group.h"
#include "datapath/order.h"

static struct world world;

static struct world_verdict run(int protocol, int family)
{
	struct world_packet packet = {.family = family, .protocol = protocol, .port = 80};

	packet.address[0] = 198;
	return world_run(world.generation->program, &packet, 1);
}

static uint32_t load(int protocol, int family)
{
	static bool loaded;

	if (!loaded)
		world_load(&world, world_parse("web", "[Rule]\nStream=80\nDatagram=80\n", NULL));
	loaded = true;
	(void)registry_reap(&world.registry, world_seat(&world, "web", protocol, family), NULL);
	return world_seat(&world, "web", protocol, family);
}

/*
 * Hand in as the broker does, with what it would know. The sockets themselves have no SO_REUSEPORT: BPF_PROG_TEST_RUN does
 * not let a group choose. Return: 0 or REFUSED.
 */
static int hand_in(uint32_t seat, int fd, uint16_t port, uint32_t owner, enum usher_kind kind, uint32_t *ret,
	struct refusal *refusal)
{
	const struct registry_kin kin = {.owner = owner, .kind = kind};
	const struct usher_place place = {
		.cookie = world_cookie(fd), .family = AF_INET, .port = port, .flags = USHER_PLACE_REUSEPORT};
	int r = registry_reserve(&world.registry, seat, &place, &kin, 0, ret, refusal);

	if (r)
		return r;
	world_put(&world, seat, *ret, fd);
	registry_commit(&world.registry, seat, *ret, 0);
	registry_check_front(&world.registry, seat);
	return 0;
}

static uint32_t hand_in_here(uint32_t seat, int fd, uint16_t port, uint32_t owner, enum usher_kind kind)
{
	struct refusal refusal;
	uint32_t slot;

	assert_int_equal(hand_in(seat, fd, port, owner, kind, &slot, &refusal), 0);
	return slot;
}

static unsigned places_of(uint32_t seat)
{
	return order_length(world.registry.seats[seat].order);
}

static void assert_selects(struct world_verdict verdict, int fd)
{
	assert_int_equal(verdict.error, 0);
	assert_true(verdict.pass);
	assert_int_equal(verdict.cookie, world_cookie(fd));
}

static void assert_refuses(struct world_verdict verdict)
{
	assert_int_equal(verdict.error, 0);
	assert_false(verdict.pass);
}

static void shuffle(int *fds, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned other = (unsigned)random() % i;
		int fd = fds[i - 1];

		fds[i - 1] = fds[other];
		fds[other] = fd;
	}
}

static bool is_among(uint64_t cookie, const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (cookie == world_cookie(fds[i]))
			return true;
	return false;
}

/* One place for all of them. In whatever order they close, those that are left serve; the broker does nothing. */
static void close_one_by_one(int protocol, int family, unsigned n)
{
	uint32_t seat = load(protocol, family);
	struct usher_counters count, before;
	int fds[USHER_MEMBERS_MAX];

	assert_int_equal(registry_read_counters(&world.registry, seat, &before), 0);
	for (unsigned i = 0; i < n; i++) {
		fds[i] = world_listen(protocol, family);
		(void)hand_in_here(seat, fds[i], 8080, 7, USHER_KIND_IPV4);
	}
	assert_int_equal(places_of(seat), 1);
	shuffle(fds, n);
	for (unsigned left = n; left > 0; left--) {
		struct world_verdict verdict = run(protocol, family);

		assert_true(verdict.pass && is_among(verdict.cookie, fds, left));
		assert_int_equal(close(fds[left - 1]), 0);
	}
	assert_refuses(run(protocol, family));
	assert_int_equal(registry_read_counters(&world.registry, seat, &count), 0);
	assert_int_equal(count.lookups, before.lookups + n + 1);
	assert_int_equal(count.missing, before.missing + 1);
	assert_int_equal(registry_reap(&world.registry, seat, NULL), 0);
	assert_int_equal(world.registry.seats[seat].groups, 0);
}

static void test_members_close(void **state)
{
	static const unsigned sizes[] = {1, 2, 8, 9, 64, 65, USHER_MEMBERS_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		close_one_by_one(IPPROTO_TCP, AF_INET, sizes[i]);
		close_one_by_one(IPPROTO_UDP, AF_INET6, sizes[i]);
	}
	close_one_by_one(IPPROTO_TCP, AF_INET6, USHER_MEMBERS_MAX);
	close_one_by_one(IPPROTO_UDP, AF_INET, USHER_MEMBERS_MAX);
}

/* A full group, and groups of one user: refused with the limit, and nothing is left of it. */
static void test_limits(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET),
		       other = world_seat(&world, "web", IPPROTO_TCP, AF_INET6);
	struct registry_place first;
	struct refusal refusal;
	uint32_t slot;
	int fd = world_listen(IPPROTO_TCP, AF_INET);

	(void)state;
	for (unsigned i = 0; i < USHER_MEMBERS_MAX; i++)
		(void)hand_in_here(seat, fd, 8080, 7, USHER_KIND_IPV4);
	assert_int_equal(hand_in(seat, fd, 8080, 7, USHER_KIND_IPV4, &slot, &refusal), REFUSED);
	assert_non_null(strstr(refusal.text, "256 sockets of its SO_REUSEPORT group"));
	assert_int_equal(places_of(seat), 1);
	for (uint16_t port = 8081; port < 8080 + REGISTRY_OWNED_MAX / USHER_MEMBERS_MAX; port++)
		for (unsigned i = 0; i < USHER_MEMBERS_MAX; i++)
			(void)hand_in_here(seat, fd, port, 7, USHER_KIND_IPV4);
	(void)hand_in_here(other, fd, 8080, 7, USHER_KIND_IPV4);
	assert_int_equal(hand_in(other, fd, 8080, 7, USHER_KIND_IPV4, &slot, &refusal), REFUSED);
	assert_non_null(strstr(refusal.text, "uid 7 has 2048 sockets"));
	(void)hand_in_here(other, fd, 8080, 8, USHER_KIND_IPV4);
	(void)hand_in_here(other, fd, 8080, 8, USHER_KIND_IPV4);
	assert_int_equal(close(fd), 0);
	assert_int_equal(registry_reap(&world.registry, seat, NULL), 0);
	assert_int_equal(registry_reap(&world.registry, other, NULL), 0);
	assert_false(registry_read_first(&world.registry, seat, &first));
}

/* The kernel has sockets in one group only if their owner and kind are the same. */
static void test_others_are_no_members(void **state)
{
	const uint32_t seat = load(IPPROTO_UDP, AF_INET6);
	int fds[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		fds[i] = world_listen(IPPROTO_UDP, AF_INET6);
	(void)hand_in_here(seat, fds[0], 8080, 7, USHER_KIND_IPV6);
	(void)hand_in_here(seat, fds[1], 8080, 8, USHER_KIND_IPV6);
	(void)hand_in_here(seat, fds[2], 8080, 8, USHER_KIND_IPV6_ONLY);
	(void)hand_in_here(seat, fds[3], 8081, 8, USHER_KIND_IPV6_ONLY);
	assert_int_equal(places_of(seat), 4);
	for (unsigned i = 4; i-- > 0;) {
		assert_selects(run(IPPROTO_UDP, AF_INET6), fds[i]);
		assert_int_equal(close(fds[i]), 0);
	}
	assert_refuses(run(IPPROTO_UDP, AF_INET6));
}

/* A group among other places: its newest member decides where it is, those that leave change nothing. */
static void test_order(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET);
	int older = world_listen(IPPROTO_TCP, AF_INET), newer = world_listen(IPPROTO_TCP, AF_INET), group[3];
	uint32_t slots[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		group[i] = world_listen(IPPROTO_TCP, AF_INET);
	(void)world_seat_socket(&world, seat, older);
	slots[0] = hand_in_here(seat, group[0], 8080, 7, USHER_KIND_IPV4);
	slots[1] = hand_in_here(seat, group[1], 8080, 7, USHER_KIND_IPV4);
	(void)world_seat_socket(&world, seat, newer);
	assert_int_equal(places_of(seat), 3);
	assert_selects(run(IPPROTO_TCP, AF_INET), newer);
	slots[2] = hand_in_here(seat, group[2], 8080, 7, USHER_KIND_IPV4);
	assert_int_equal(group_slot(slots[2]), group_slot(slots[0]));
	assert_true(is_among(run(IPPROTO_TCP, AF_INET).cookie, group, 3));
	registry_remove(&world.registry, seat, slots[2]);
	assert_int_equal(close(group[0]), 0);
	assert_selects(run(IPPROTO_TCP, AF_INET), group[1]);
	registry_remove(&world.registry, seat, slots[1]);
	assert_selects(run(IPPROTO_TCP, AF_INET), newer);
	assert_int_equal(close(newer), 0);
	assert_selects(run(IPPROTO_TCP, AF_INET), older);
	(void)close(older);
	(void)close(group[1]);
	(void)close(group[2]);
}

/* A reserved member is no member, also if the one before it is given back. */
static void test_reserved(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET);
	const struct registry_kin kin = {.owner = 7, .kind = USHER_KIND_IPV4};
	const struct usher_place place = {.family = AF_INET, .flags = USHER_PLACE_REUSEPORT};
	int fd = world_listen(IPPROTO_TCP, AF_INET);
	struct refusal refusal;
	uint32_t one, two;

	(void)state;
	assert_int_equal(registry_reserve(&world.registry, seat, &place, &kin, 0, &one, &refusal), 0);
	assert_int_equal(registry_reserve(&world.registry, seat, &place, &kin, 0, &two, &refusal), 0);
	assert_int_equal(group_slot(one), group_slot(two));
	world_put(&world, seat, two, fd);
	assert_refuses(run(IPPROTO_TCP, AF_INET));
	registry_unstage(&world.registry, seat, one);
	assert_refuses(run(IPPROTO_TCP, AF_INET));
	registry_commit(&world.registry, seat, two, 0);
	assert_selects(run(IPPROTO_TCP, AF_INET), fd);
	registry_remove(&world.registry, seat, two);
	assert_refuses(run(IPPROTO_TCP, AF_INET));
	assert_int_equal(world.registry.seats[seat].groups, 0);
	(void)close(fd);
}

/* The pin of `groups` was deleted: the members are still there. */
static void test_records_are_lost(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET);
	int fds[USHER_MEMBERS_MAX / 2];
	struct usher_place_key key = {.seat = seat};
	const unsigned n = sizeof(fds) / sizeof(fds[0]);

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		fds[i] = world_listen(IPPROTO_TCP, AF_INET);
		key.slot = group_slot(hand_in_here(seat, fds[i], 8080, 7, USHER_KIND_IPV4));
	}
	assert_int_equal(bpf_map_delete_elem(world.registry.maps[REGISTRY_GROUPS], &key), 0);
	assert_int_equal(registry_repair(&world.registry), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_selects(run(IPPROTO_TCP, AF_INET), fds[i]);
		assert_int_equal(close(fds[i]), 0);
	}
	assert_refuses(run(IPPROTO_TCP, AF_INET));
}

/*
 * A broker without groups used the slot again, and left the mark and the record as they were: who was a member is none
 * of the place that there is now.
 */
static void test_slot_of_another_version(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET);
	int group[2], other = world_listen(IPPROTO_TCP, AF_INET);
	const struct usher_place place = {.cookie = world_cookie(other), .family = AF_INET, .port = 9};
	struct usher_place_key key = {.seat = seat};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		group[i] = world_listen(IPPROTO_TCP, AF_INET);
		key.slot = group_slot(hand_in_here(seat, group[i], 8080, 7, USHER_KIND_IPV4));
	}
	assert_int_equal(bpf_map_delete_elem(world.registry.maps[REGISTRY_SOCKETS], &key), 0);
	world_put(&world, seat, key.slot, other);
	assert_int_equal(bpf_map_update_elem(world.registry.maps[REGISTRY_PLACES], &key, &place, BPF_ANY), 0);
	assert_int_equal(registry_repair(&world.registry), 0);
	assert_selects(run(IPPROTO_TCP, AF_INET), other);
	assert_int_equal(close(other), 0);
	assert_refuses(run(IPPROTO_TCP, AF_INET));
	(void)close(group[0]);
	(void)close(group[1]);
}

/* Sockets of a broker without groups have a place each, and no record. The next one joins the first of them. */
static void test_sockets_of_another_version(void **state)
{
	const uint32_t seat = load(IPPROTO_TCP, AF_INET);
	struct registry_place places[USHER_PLACES_MAX];
	int fds[USHER_PLACES_MAX + 1];
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < USHER_PLACES_MAX; i++) {
		const struct usher_place_key key = {.seat = seat, .slot = i};
		struct usher_place place = {.family = AF_INET, .port = 8080, .flags = USHER_PLACE_REUSEPORT};

		fds[i] = world_listen(IPPROTO_TCP, AF_INET);
		place.cookie = world_cookie(fds[i]);
		world_put(&world, seat, i, fds[i]);
		assert_int_equal(
			bpf_map_update_elem(world.registry.maps[REGISTRY_PLACES], &key, &place, BPF_ANY), 0);
		world.registry.seats[seat].order = order_with(world.registry.seats[seat].order, i, 0);
	}
	assert_int_equal(registry_repair(&world.registry), 0);
	fds[USHER_PLACES_MAX] = world_listen(IPPROTO_TCP, AF_INET);
	(void)hand_in_here(seat, fds[USHER_PLACES_MAX], 8080, 7, USHER_KIND_IPV4);
	assert_int_equal(places_of(seat), USHER_PLACES_MAX);
	registry_foreach_socket (&world.registry, seat, walk) {
		if (n < USHER_PLACES_MAX)
			registry_walk_read(&world.registry, &walk, &places[n]);
		n++;
	}
	assert_int_equal(n, USHER_PLACES_MAX + 1);
	for (unsigned i = 0; i < USHER_PLACES_MAX; i++)
		assert_true(registry_serves_with(&world.registry, &places[i], &places[0]));
	for (unsigned i = 0; i < USHER_PLACES_MAX; i++)
		assert_int_equal(close(fds[i]), 0);
	assert_selects(run(IPPROTO_TCP, AF_INET), fds[USHER_PLACES_MAX]);
	(void)close(fds[USHER_PLACES_MAX]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_close),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_others_are_no_members),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_records_are_lost),
		cmocka_unit_test(test_slot_of_another_version),
		cmocka_unit_test(test_sockets_of_another_version),
	};
	int r;

	world_enter(&world);
	r = cmocka_run_group_tests_name("groups", tests, NULL, NULL);
	world_leave(&world);
	return r;
}
