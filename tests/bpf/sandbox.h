/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Namespaces and a cgroup for the tests of src/discover, with processes in them that listen
 *
 * sandbox_main() creates network, mount and pid namespaces, so that pids differ from those of the machine, and runs
 * the tests as process 1 there. The machine's cgroups are not touched: everything happens in a new one, which is
 * removed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SANDBOX_PINS "/sys/fs/bpf"

int sandbox_main(int (*function)(void));

/* sandbox_cgroup() - the path of the sandbox's cgroup, or of one below it, which is created */
const char *sandbox_cgroup(const char *name, char path[static 256]);

#define SANDBOX_CHILDREN_MAX 4

/* What a process does before it reports that it listens. All members but `family`, `protocol` and `port` may be zero. */
struct sandbox_spec {
	const char *cgroup;  /* name, below the sandbox's */
	int family;	     /* AF_INET or AF_INET6 */
	int protocol;	     /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_MPTCP */
	const char *address; /* NULL: the wildcard */
	uint16_t port;
	bool v6only;
	bool other_netns; /* in a network namespace of its own */
	bool other_pidns; /* as process 1 of a pid namespace of its own */
	bool bind_only;	  /* TCP: without listen(2) */
	uid_t maker;	  /* the user that calls socket(2) */
	uid_t uid;	  /* the user that binds and listens */
	unsigned n_duplicates;
	unsigned n_children; /* number of children that inherit the socket; at most SANDBOX_CHILDREN_MAX */
	unsigned n_times;    /* repeat everything that often, and close the socket each time */
	bool other_ports;    /* on the next port each time, and finally on the first one */
};

struct sandbox_process {
	pid_t pid; /* 0: it failed; `error` says why */
	int error;
	uint64_t cookie; /* of the socket */
	uint32_t inode;
	int fd; /* its number there */
	pid_t children[SANDBOX_CHILDREN_MAX];
	int control;
};

/* sandbox_start() - when this returns, the process has done everything, and waits with the socket open */
struct sandbox_process sandbox_start(const struct sandbox_spec *spec);

/* sandbox_close() - have it close the socket, but not those of its children; done when this returns */
void sandbox_close(struct sandbox_process *process);

/* sandbox_end() - end it, and its children */
void sandbox_end(struct sandbox_process *process);

/* sandbox_fork() - as fork(2); the child dies with this process, and can be process 1 of a new pid namespace */
pid_t sandbox_fork(bool other_pidns);

/* sandbox_keep() - drop all capabilities but these: bits of their numbers */
void sandbox_keep(uint64_t capabilities);
