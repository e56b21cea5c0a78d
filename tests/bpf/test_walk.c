/* SPDX-License-Identifier: BSD-3-Clause */

/* How the program, loaded as by the broker, walks its trees: as far as it must and no further, and without waiting */

#undef NDEBUG
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "bpf/world.h"
#include "datapath/program.h"
#include "util/macro.h"

#define PORT 80
#define LAST_SEAT (USHER_SEATS_MAX - 1)
#define STEP_LAST UINT32_MAX

static struct world world;

/*
 * A tree with that many nodes, one below the other, for each step of 32 bits to the last address, which alone has a
 * seat.
 */
static struct tree_nodes make_chain(unsigned height, unsigned steps)
{
	struct tree_nodes chain = {
		.nodes = calloc(height * steps, sizeof(*chain.nodes)), .n = height * steps};
	const unsigned last = USHER_NODE_RANGES - 1;

	assert_non_null(chain.nodes);
	for (uint32_t i = 0; i < chain.n; i++) {
		struct usher_node *node = &chain.nodes[i];

		for (unsigned k = 0; k < last; k++)
			node->starts[k] = STEP_LAST;
		node->words[last] = i + 1 < chain.n ? TREE_WORD_NODE | (i + 1) : 1;
		node->next = (uint32_t)((i + 1) % height == 0 && i + 1 < chain.n) << last;
	}
	return chain;
}

static uint32_t ask(const struct question *question, int program, int family, uint8_t last_byte)
{
	struct question_packet packet = {.family = family, .protocol = IPPROTO_TCP, .local_port = PORT};
	struct world_packet same = {.family = family, .protocol = IPPROTO_TCP, .port = PORT};
	struct question_answer answer;

	memset(packet.local_address, 0xff, sizeof(packet.local_address));
	packet.local_address[family == AF_INET ? 3 : 15] = last_byte;
	memcpy(same.address, packet.local_address, sizeof(same.address));
	assert_int_equal(question_ask(question, &packet, &answer), 0);
	assert_int_equal(answer.verdict, answer.seat ? QUESTION_REFUSED : QUESTION_NO_RULE);
	assert_int_equal(world_run(program, &same, 1).pass, !answer.seat);
	return answer.seat;
}

static void check_chain(int family, unsigned height, unsigned steps, uint32_t expected)
{
	static const uint32_t numbers[] = {0, LAST_SEAT};
	static struct image image;
	struct image_seat seats[2] = {
		{0}, {.name = "web", .protocol = IPPROTO_TCP, .family = (uint8_t)family}};
	_cleanup_(question_deinit) struct question question = QUESTION_NULL;
	_cleanup_close_ int program = -1;
	struct refusal refusal;

	image = (struct image){.seats = seats, .n_seats = 2, .nodes = make_chain(height, steps)};
	image.ports[family == AF_INET ? USHER_TABLE_TCP4 : USHER_TABLE_TCP6][PORT] = TREE_WORD_NODE;
	assert_int_equal(
		program_load(&world.registry, NULL, &image, numbers, &program, &question, &refusal), 0);
	assert_int_equal(ask(&question, program, family, 0xff), expected);
	assert_int_equal(ask(&question, program, family, 0xfe), 0);
	free(image.nodes.nodes);
}

static void test_height(void **state)
{
	(void)state;
	check_chain(AF_INET, 1, 1, LAST_SEAT);
	check_chain(AF_INET, USHER_LEVELS_MAX, 1, LAST_SEAT);
	check_chain(AF_INET6, 1, USHER_STEPS_MAX, LAST_SEAT);
	check_chain(AF_INET6, USHER_LEVELS_MAX, USHER_STEPS_MAX, LAST_SEAT);
}

/* Such trees do not exist. If one did, a packet whose lookup does not reach the end would not be refused. */
static void test_no_further(void **state)
{
	(void)state;
	check_chain(AF_INET, USHER_LEVELS_MAX + 1, 1, 0);
	check_chain(AF_INET6, USHER_LEVELS_MAX + 1, USHER_STEPS_MAX, 0);
	check_chain(AF_INET6, 1, USHER_STEPS_MAX + 1, 0);
}

/*
 * Before a socket in `front` is assigned, there is nothing for which the verifier makes the processor wait (usher-bpf.h,
 * "The word in the port table"). All of that is in usher_dispatch itself; the functions that it calls come after it.
 */
static void test_no_wait(void **state)
{
	enum { WAIT = BPF_ST | 0xc0 /* BPF_NOSPEC of the kernel */, FUNCTIONS_MAX = 16 };
	struct bpf_func_info functions[FUNCTIONS_MAX] = {};
	struct bpf_prog_info info = {}, sizes = {};
	uint32_t size = sizeof(info), n, n_waits[2] = {};
	struct bpf_insn *code;

	(void)state;
	world_load(&world, world_parse("web", "[Rule]\nStream=192.0.2.0/24:80 [2001:db8::/48]:80\n", NULL));
	assert_int_equal(bpf_obj_get_info_by_fd(world.generation->program, &sizes, &size), 0);
	n = sizes.xlated_prog_len / sizeof(*code);
	code = calloc(n, sizeof(*code));
	assert_non_null(code);
	assert_in_range(sizes.nr_func_info, 2, FUNCTIONS_MAX);
	info.xlated_prog_len = sizes.xlated_prog_len;
	info.xlated_prog_insns = (uintptr_t)code;
	info.nr_func_info = sizes.nr_func_info;
	info.func_info_rec_size = sizeof(functions[0]);
	info.func_info = (uintptr_t)functions;
	size = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(world.generation->program, &info, &size), 0);
	for (uint32_t i = 0; i < n; i++)
		n_waits[i >= functions[1].insn_off] += code[i].code == WAIT;
	free(code);
	if (!n_waits[1]) {
		print_message(
			"# nowhere: mitigations=off, or code that is not shown (net.core.bpf_jit_harden)\n");
		skip();
	}
	assert_int_equal(n_waits[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_height),
		cmocka_unit_test(test_no_further),
		cmocka_unit_test(test_no_wait),
	};
	int r;

	world_enter(&world);
	r = cmocka_run_group_tests_name("walk", tests, NULL, NULL);
	world_leave(&world);
	return r;
}
