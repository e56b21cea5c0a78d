/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A network namespace with a BPF file system of its own, and the data plane in it
 *
 * For the tests and benchmarks that run the program with BPF_PROG_TEST_RUN. A failure here ends the process with a
 * message: it is the fault of the machine or of the test. Needs root.
 */

#include <stdint.h>

#include "broker/generation.h"
#include "datapath/obstacles.h"
#include "datapath/registry.h"

struct world {
	struct pins_folder pins;
	struct registry registry;
	struct generation *generation; /* the last one that was loaded */
	struct obstacles
		*obstacles; /* NULL until a rule with a later order was loaded; no hook is attached */
	uint64_t netns_cookie;
};

/*
 * world_enter() - move this process into new namespaces, and create a registry there
 *
 * Only the capabilities of usherd.service are left: the verifier is stricter with such a loader, and adds instructions.
 */
void world_enter(struct world *world);
void world_leave(struct world *world);

/* world_load() - load a program for the rules in place of the previous one; takes over the rules */
void world_load(struct world *world, struct rule_set *rules);

/* world_parse() - make a rule set with a rule for each (name, text) pair; NULL ends the list */
struct rule_set *world_parse(const char *name, const char *text, ...) __attribute__((sentinel));

/* world_listen() - a listening TCP or bound UDP socket on the loopback address of a family */
int world_listen(int protocol, int family);

/* world_seat() - the seat of a name; 0 if the rules have none */
uint32_t world_seat(const struct world *world, const char *name, int protocol, int family);

/* world_put() - a socket into a reserved slot, as a worker does it */
void world_put(struct world *world, uint32_t seat, uint32_t slot, int fd);

/* world_seat_socket() - put a socket into a seat, in the first place; Return: its slot */
uint32_t world_seat_socket(struct world *world, uint32_t seat, int fd);

/* world_cookie() - SO_COOKIE */
uint64_t world_cookie(int fd);

struct world_packet {
	int family, protocol;
	uint8_t address[16]; /* local address, network order */
	uint16_t port;	     /* local port, host order */
};

struct world_verdict {
	int error;	      /* of BPF_PROG_TEST_RUN: 0, or a negative errno, with nothing else set */
	bool pass;	      /* SK_PASS */
	uint64_t cookie;      /* of the selected socket, or 0 */
	uint32_t nanoseconds; /* for one run */
};

/* world_run() - run a program on a packet; the seconds of all runs are divided by their number */
struct world_verdict world_run(int program, const struct world_packet *packet, int repeat);
