/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The processes that have a socket open
 *
 * There are two ways to find them: the task_file iterator of BPF, which walks the descriptors of all processes in the
 * kernel (needs CAP_BPF, CAP_PERFMON and BTF), and readlink(2) on everything in /proc/PID/fd.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../util/error.h"
#include "diag.h"

/* Process @pid has the indexed socket @socket open as descriptor @fd. A hint: both may have changed since. */
struct opener {
	size_t socket;
	pid_t pid;
	int fd;
};

struct openers {
	struct opener *items; /* sorted by socket, pid, fd; at most OPENERS_PER_SOCKET for each socket */
	size_t n;
	size_t n_unreadable; /* processes whose descriptors could not be listed (EACCES, EPERM) */
};

#define OPENERS_PER_SOCKET 256U /* of a server with more workers, only the first ones are found */

void openers_deinit(struct openers *openers);

/* Return: 0, OPENERS_ABSENT (this way does not work here, and is not tried again), or a negative errno */
typedef int openers_function(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);

enum {
	OPENERS_ABSENT = 1,
};

/*
 * openers_use() - try this function first: usher-discover sets iterator_find()
 *
 * This keeps libbpf out of usherctl, which scans too. Without it, and when it fails, /proc is read.
 */
void openers_use(openers_function *function);

/*
 * openers_find() - look at the descriptors of all processes, or of one
 * @pid: only this process; 0 for all
 *
 * `openers_find_proc()` always reads /proc. Processes that end meanwhile are left out.
 * Return: 0 or a negative errno.
 */
int openers_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);
int openers_find_proc(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret);
