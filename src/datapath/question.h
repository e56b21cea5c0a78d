/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Asking the program of a generation what it would do with a packet (BPF_PROG_TEST_RUN)
 *
 * This runs usher_question of dispatch.bpf.c. It is the code of usher_dispatch on the same tables and maps, except that
 * it counts nothing. Other sk_lookup programs of the namespace do not run.
 */

#include <stdint.h>

#include "../../bpf/usher-obstacles.h"
#include "../util/macro.h"

/* Descriptors; -1 until program_load() has set them. */
struct question {
	int program, answers;
};

#define QUESTION_NULL ((struct question){.program = -1, .answers = -1})

static inline void question_deinit(struct question *question)
{
	closep(&question->program);
	closep(&question->answers);
}

struct question_packet {
	int family;				       /* AF_INET or AF_INET6 */
	int protocol;				       /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t local_address[16], remote_address[16]; /* network order, IPv4 in the first 4 bytes */
	uint16_t local_port, remote_port;	       /* host order */
	uint32_t device; /* ifindex by which it comes; 0: not said, every socket takes it */
};

/* What the program does with the packet */
enum question_verdict {
	QUESTION_NO_RULE,    /* no rule matched: the kernel's normal lookup goes on */
	QUESTION_DISPATCHED, /* to the socket `cookie` */
	QUESTION_PASSED,     /* no socket took it, and Missing=pass: the kernel's normal lookup goes on */
	QUESTION_REFUSED,    /* no socket took it */
	QUESTION_YIELDED,    /* left to a socket of somebody else */
};

struct question_answer {
	enum question_verdict verdict;
	enum usher_obstacle_kind obstacle; /* QUESTION_YIELDED: to what */
	uint32_t seat;			   /* of the rule that matched; 0: none */
	uint64_t cookie; /* SO_COOKIE; for a reuseport group, that of the member that was handed in */
	int error; /* positive errno of the last socket that the kernel did not assign; 0: there was none */
};

/* question_ask() - Return: 0 or a negative errno */
int question_ask(
	const struct question *question, const struct question_packet *packet, struct question_answer *ret);
