/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * What the programs of usher-discover (listen.bpf.c, descriptors.bpf.c) and user space share
 *
 * Nothing here is pinned: programs, maps and reader belong to one process and one version.
 */

#include <linux/types.h>

#define USHER_WANTED_PORTS 65536U
#define USHER_LISTENS_BYTES (64U * 1024U)
/* Processes that are in deeper ones have no unit for Listen=kernel. */
#define USHER_CGROUP_LEVELS_MAX 24U

/*
 * Sockets that start to listen on this port cause an event. Each port has a byte in one of two tables in the program's
 * global data, with one of the values below.
 *
 * A process that listens and closes in a loop causes one event: the program does not report the next one until user
 * space has set USHER_PORT_WANTED, just before it looks. Listeners that went into `early` are always reported.
 */
#define USHER_PORT_WANTED 1U
#define USHER_PORT_TOLD 2U
struct usher_wanted {
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
	__u16 port; /* host order */
};

/*
 * Record of the ring buffer `listens`: a TCP socket of the namespace listens, or a UDP socket is bound. A hint: user
 * space asks sock_diag(7) what is there.
 */
struct usher_listen {
	__u64 cookie; /* SO_COOKIE */
	__u64 time;   /* CLOCK_MONOTONIC, ns */
	__u32 pid;    /* of the process that listens or binds, in usher-discover's pid namespace; 0: not known */
	__u16 port;   /* local port, host order */
	__u8 family;  /* AF_INET or AF_INET6 */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 early;   /* 1: it was put into `early` */
	__u8 pad[7];
};

/* What the task_file iterator writes for each descriptor of a socket that user space looks for */
struct usher_opener {
	__u32 inode; /* of the socket */
	__u32 pid;   /* thread group, in the pid namespace of usher-discover */
	__u32 fd;    /* its number there */
};

_Static_assert(sizeof(struct usher_listen) == 32, "layout is shared between program and user space");
_Static_assert(sizeof(struct usher_opener) == 12, "layout is shared between program and user space");
