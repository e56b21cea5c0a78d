/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A process, held by a pidfd while it is looked at
 *
 * What /proc says of a pid is true of the process behind the pidfd only while that one is alive: process_is_alive()
 * after reading says whether it was.
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
	char *unit;	  /* systemd unit, "" when there is none */
	char *executable; /* /proc/PID/exe without " (deleted)"; NULL when it cannot be read */
	char name[32];	  /* comm, printable */
};

#define PROCESS_NULL ((struct process){.pidfd = -1})

/* Outcome of process_open() besides 0 and REFUSED */
enum {
	PROCESS_GONE = 2,
};

/*
 * process_open() - take hold of a process and read who it is
 *
 * Return: 0, PROCESS_GONE, REFUSED (what the kernel does not let us see: object, reason, errno, remedy), or a negative errno.
 */
int process_open(pid_t pid, struct process *ret, struct refusal *refusal);
void process_close(struct process *process);

/* process_copy() - what is known of it, without a pidfd. Return: 0 or -ENOMEM. */
int process_copy(const struct process *process, struct process *ret);

/* process_is_alive() - false without a pidfd */
bool process_is_alive(const struct process *process);

/* process_identity() - for access_check_owner(); borrows from @process; verified, for it comes from a pidfd */
struct identity process_identity(const struct process *process);
