/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which processes have a socket open
 *
 * Two ways to the same answer: the task_file iterator of BPF, which walks the descriptors of all processes in the kernel
 * (needs CAP_BPF, CAP_PERFMON and BTF), and readlink(2) of everything in /proc/PID/fd.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../util/error.h"
#include "diag.h"

/* Process @pid has socket number @socket of those index open as descriptor @fd. A hint: both may have changed since. */
struct opener {
	size_t socket;
	pid_t pid;
	int fd;
};

struct openers {
	struct opener *items; /* sorted by socket, pid, fd; at most OPENERS_PER_SOCKET of a socket */
	size_t n;
	size_t n_unreadable; /* processes whose descriptors could not be listed (EACCES, EPERM) */
};

#define OPENERS_PER_SOCKET 256U /* a server with more workers than this shows the first ones */

void openers_deinit(struct openers *openers);

/* The other way, if there is one: 0, OPENERS_ABSENT (it does not work here, and is not asked again), or a negative errno */
typedef int openers_function(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);

enum {
	OPENERS_ABSENT = 1,
};

/*
 * openers_use() - ask this one first: usher-discover gives iterator_find()
 *
 * So that usherctl, which scans too, needs no libbpf. Without it, and when it fails, /proc is read.
 */
void openers_use(openers_function *function);

/*
 * openers_find() - look at the descriptors of all processes, or of one
 * @pid: only this process; 0 for all
 *
 * `openers_find_proc()` reads /proc in any case. Processes that end meanwhile are left out.
 * Return: 0 or a negative errno.
 */
int openers_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);
int openers_find_proc(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);
