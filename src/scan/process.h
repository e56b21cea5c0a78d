/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A process, pinned by a pidfd while it is examined
 *
 * What /proc says about a pid is about the process of the pidfd only while that process is alive: call
 * process_is_alive() after reading.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../access/identity.h"
#include "../util/error.h"
#include "../util/macro.h"

struct process {
	pid_t pid;
	int pidfd;
	uint64_t started; /* clock ticks since boot, field 22 of /proc/PID/stat */
	uid_t uid;	  /* effective */
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	char *unit;	  /* systemd unit; "" if there is none */
	char *user_unit;  /* unit of the service manager of this uid; NULL if there is none */
	char *executable; /* /proc/PID/exe without " (deleted)"; NULL if it cannot be read */
	char name[32];	  /* comm, printable */
};

#define PROCESS_NULL ((struct process){.pidfd = -1})

/* Outcome of process_open() besides 0 and REFUSED */
enum {
	PROCESS_GONE = 2,
};

/*
 * process_open() - open a pidfd of a process and read its identity
 *
 * Return: 0, PROCESS_GONE, REFUSED (the kernel does not let this process see it), or a negative errno.
 */
int process_open(pid_t pid, struct process *ret, struct refusal *refusal);
void process_close(struct process *process);

/* process_copy() - copy everything but the pidfd. Return: 0 or -ENOMEM. */
int process_copy(const struct process *process, struct process *ret);

/* process_is_alive() - false without a pidfd */
bool process_is_alive(const struct process *process);

/* process_identity() - for access_check_owner(); borrows from @process; verified, because it comes from a pidfd */
struct identity process_identity(const struct process *process);
