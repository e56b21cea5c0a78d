/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Services for bench_hand_in: their names, their sockets, and many of them at once
 *
 * A failure ends the program with a message: it is the fault of the machine or of the broker.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Noreturn void services_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *services_allocate(size_t n, size_t size);

/* services_now() - CLOCK_MONOTONIC, nanoseconds */
uint64_t services_now(void);

/* services_listen() - a listening socket on the loopback address of a family, at a port that the kernel chooses */
int services_listen(int family);

/* services_listen_often() - several sockets, IPv4 and IPv6 in turn; the caller owns the array */
int *services_listen_often(unsigned n);

/* services_name() - n0000, n0001... */
const char *services_name(unsigned number, char name[static 16]);

/* services_hand_in() - hand in as a service does, with usher_hand_in() */
void services_hand_in(unsigned number, const int *fds, size_t n_fds);

/* services_print() - print the nanoseconds of all, and of each */
void services_print(uint64_t all, const uint64_t *each, unsigned n);

/* services_wait_for_end() - wait for the end of standard input */
void services_wait_for_end(void);

/*
 * services_run() - several processes that start at the same moment, and print how long they took
 * @n_calls: hand-ins of each process, each for another name
 * @n_fds:   sockets of each hand-in
 * @stay:    keep the processes, and their sockets, until standard input ends
 */
void services_run(unsigned n_children, unsigned n_calls, unsigned n_fds, bool stay);
