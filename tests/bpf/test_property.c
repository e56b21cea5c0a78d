/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The program gives the same answer as the image and as the reference, for random rules and packets
 *
 * Every seat gets a socket of its own, so the cookie of the selected socket identifies the seat.
 */

#undef NDEBUG
#include <inttypes.h>
#include <netinet/in.h>
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
#include "unit/reference.h"

#define RULE_SETS 1000
#define PACKETS 200

static struct world world;
static int sockets[REFERENCE_RULES_MAX][USHER_TABLES]; /* shared by all rule sets */

static int *socket_of(const struct reference *reference, const char *name, int protocol, int family)
{
	size_t rule = 0;

	while (strcmp(reference->rules[rule].name, name))
		rule++;
	return &sockets[rule][(family == AF_INET6 ? 2 : 0) + (protocol == IPPROTO_UDP ? 1 : 0)];
}

static void open_sockets(void)
{
	for (size_t rule = 0; rule < REFERENCE_RULES_MAX; rule++)
		for (size_t table = 0; table < USHER_TABLES; table++)
			sockets[rule][table] = world_listen(
				table % 2 ? IPPROTO_UDP : IPPROTO_TCP, table / 2 ? AF_INET6 : AF_INET);
}

static void fill_seats(const struct reference *reference, const struct image *image)
{
	for (size_t i = 1; i < image->n_seats; i++) {
		const struct image_seat *seat = &image->seats[i];

		(void)world_seat_socket(&world, world_seat(&world, seat->name, seat->protocol, seat->family),
			*socket_of(reference, seat->name, seat->protocol, seat->family));
	}
}

static void check_packet(struct reference *reference, const struct image *image)
{
	const struct reference_rule *expected;
	struct reference_packet packet;
	struct world_packet probe;
	struct world_verdict verdict;
	uint64_t cookie = 0;
	uint32_t word;
	bool same;

	reference_packet(reference, &packet);
	expected = reference_answer(reference, &packet);
	probe = (struct world_packet){
		.family = packet.family, .protocol = packet.protocol, .port = packet.port};
	memcpy(probe.address, packet.address, sizeof(probe.address));
	verdict = world_run(world.generation->program, &probe, 1);
	word = image_lookup(image, packet.family, packet.protocol, packet.address, packet.port);
	if (expected)
		cookie = world_cookie(*socket_of(reference, expected->name, packet.protocol, packet.family));
	same = !word == !expected && (!expected || (!strcmp(image->seats[word].name, expected->name) &&
							   image->seats[word].pass == expected->pass));
	if (same && !verdict.error && verdict.pass && verdict.cookie == cookie)
		return;
	reference_print(reference, stderr);
	reference_packet_print(&packet, stderr);
	fail_msg("expected %s; image word %#x; program error %d verdict %d cookie %" PRIu64
		 " instead of %" PRIu64,
		expected ? expected->name : "nobody", word, verdict.error, verdict.pass, verdict.cookie,
		cookie);
}

static void test_property(void **state)
{
	const char *sets = getenv("USHER_RULE_SETS");
	uint64_t seed = reference_seed();

	(void)state;
	open_sockets();
	for (int i = 0; i < (sets ? atoi(sets) : RULE_SETS); i++) {
		_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
		_cleanup_(image_freep) struct image *image = NULL;
		struct reference reference;
		struct rule_set *rules;

		reference_generate(&reference, seed + (uint64_t)i);
		reference_remove_conflicts(&reference);
		rules = reference_load(&reference);
		assert_int_equal(image_compile(rules, &image, &problems), 0);
		world_load(&world, rules);
		fill_seats(&reference, image);
		for (int k = 0; k < PACKETS; k++)
			check_packet(&reference, image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_property)};
	int r;

	world_enter(&world);
	r = cmocka_run_group_tests_name("property", tests, NULL, NULL);
	world_leave(&world);
	return r;
}
