/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A row of nanoseconds: sk_lookup programs run on the same packets in turn, by BPF_PROG_TEST_RUN
 *
 * A round is CONTEST_RUNS runs of each program, with equal shares for CONTEST_ADDRESSES addresses, so that a lucky
 * shape of the tables does not decide. Every other round reverses the order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTEST_ROUNDS 21
#define CONTEST_RUNS (1 << 20)
#define CONTEST_ADDRESSES 16
#define CONTEST_PROGRAMS_MAX 4

enum contest_outcome { SELECTS, PASSES, REFUSES };

struct contest {
	const char *table;
	bool quick;
	struct {
		const char *column;
		int program;
		enum contest_outcome outcome; /* any other result ends the process */
	} programs[CONTEST_PROGRAMS_MAX];     /* the others are compared with the first */
	size_t n_programs;
};

/* contest_run() - print a row; @what: its name without the family; @port: in host order, of TCP */
void contest_run(struct contest *contest, const char *what, int family,
	uint8_t addresses[CONTEST_ADDRESSES][16], uint16_t port);

/* contest_size() - the number of prefixes of a row: a quick run, whose costs do not matter, uses a smaller crowd */
size_t contest_size(const struct contest *contest, size_t n);

/* contest_load_empty() - the program that does nothing; Return: its descriptor */
int contest_load_empty(void);
