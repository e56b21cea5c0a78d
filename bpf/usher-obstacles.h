/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * What the programs that count obstacles (obstacle_hooks.bpf.c), the dispatcher and user space share
 *
 * An *obstacle* is a socket of anybody, on a port of a rule with Order=before-wildcard or Order=last: a TCP listener, or
 * a UDP socket that is bound and not connected. The dispatcher must not take packets that such a socket would get. So
 * programs on the root of cgroup v2 keep counts of them, synchronously with listen(2), bind(2), connect(2) and close(2).
 * No socket is in any of these maps.
 *
 * These maps and the links of the programs are pinned, all or none: while a rule has a later order, and no longer.
 *
 *   obstacle_counts   how many there are on a port, how many at an address or a device, and which ports are tracked:
 *                     those of rules with a later order. Nothing else is counted
 *   obstacles         what each was counted as: the authority for whether it is counted
 *   obstacle_lock     for writers of the table of addresses
 *   obstacle_order    what user space asks the program `change` to do
 *
 * What makes it exact: an obstacle is counted first, and then inserted into `obstacles` with BPF_NOEXIST; if it is there
 * already, it is counted down again. It is deleted from there first, and only the one whose deletion succeeded counts it
 * down. So several may say the same thing, and in any order: the hooks, and user space that looked at sock_diag(7).
 * Identity is the cookie, which the kernel never uses again.
 */

#include <linux/types.h>

#include "usher-bpf.h"

#define USHER_OBSTACLES_MAX 65536U

/* Of one port and table. A port with more yields to the kernel's lookup, so that it does not take room from others. */
#define USHER_OBSTACLES_PORT_MAX 1024U

/*
 * For (table, port): three counts in one word
 *
 *   bits 0 to 23    sockets that are in the table of addresses: bound to an address or to a device
 *   bits 24 to 43   sockets that could not be counted, since user space looked last: everything on the port yields
 *   bits 44 to 63   sockets bound to neither
 */
#define USHER_OBSTACLE_LOST_SHIFT 24
#define USHER_OBSTACLE_WILD_SHIFT 44
#define USHER_OBSTACLE_EXACT_MASK ((1ULL << USHER_OBSTACLE_LOST_SHIFT) - 1)
#define USHER_OBSTACLE_LOST_MASK ((1ULL << (USHER_OBSTACLE_WILD_SHIFT - USHER_OBSTACLE_LOST_SHIFT)) - 1)
/* no more are counted: the count must not reach the next one */
#define USHER_OBSTACLE_LOST_MAX (USHER_OBSTACLE_LOST_MASK / 2)

struct usher_obstacle_ports {
	__u64 cells[1 + USHER_TABLES * USHER_PORTS]; /* [0] is not used: port_word() says why */
};

/* Bound where: the key of a cell */
struct usher_obstacle_tuple {
	__u64 address[2]; /* network order, IPv4 in the first 4 bytes; zero: any */
	__u32 where;	  /* table << 16 | port */
	__u32 device;	  /* ifindex; 0: none */
};

struct usher_obstacle_cell {
	struct usher_obstacle_tuple tuple;
	__u64 count; /* 0: free */
};

/*
 * Open addressing: a tuple is in one of the USHER_OBSTACLE_WINDOW cells from the one that its hash names. Beside each cell
 * that is not free is the hash in `tags`, so that the dispatcher finds in one line of the processor's cache, and with few
 * registers, that nobody is there; a tag that fits says only that it must look at the cell.
 */
#define USHER_OBSTACLE_CELLS 32768U
#define USHER_OBSTACLE_WINDOW 8U
struct usher_obstacle_table {
	__u64 seeds[2];	 /* random, written once before a program runs */
	__u32 n_devices; /* sockets in the table that are bound to a device */
	__u32 pad;
	__u64 n_lost; /* sockets that were not counted */
	__u64 n_events_lost;
	struct usher_obstacle_cell cells[USHER_OBSTACLE_CELLS + USHER_OBSTACLE_WINDOW];
	__u64 tags[1 + USHER_OBSTACLE_CELLS +
		   USHER_OBSTACLE_WINDOW]; /* [0] is not used; 0: the cell is free */
};

/* By (table, port); 0: not tracked. After an event about the port, user space sets it back, and looks. */
#define USHER_TRACKED 1U
#define USHER_TRACKED_TOLD 2U
struct usher_obstacle_tracked {
	__u8 ports[USHER_TABLES * USHER_PORTS];
};

/* Value of `obstacle_counts` (ARRAY of one) */
struct usher_obstacle_counts {
	struct usher_obstacle_ports ports;
	struct usher_obstacle_table table;
	struct usher_obstacle_tracked tracked;
};

/* Value of `obstacles` (HASH by SO_COOKIE) */
#define USHER_OBSTACLE_BOTH 1U /* IPv6, and counted for IPv4 as well */
#define USHER_OBSTACLE_UNSURE                                                                                \
	2U /* v6only, or the device, is not known: counted as the one that yields more */
struct usher_obstacle {
	struct usher_obstacle_tuple tuple;
	__u32 flags;
	__u32 pad;
};

/* Value of `obstacle_order` (ARRAY of one) */
enum usher_obstacle_what {
	USHER_OBSTACLE_NOTE = 1, /* count it; -EEXIST: it is already */
	USHER_OBSTACLE_FORGET,	 /* -ENOENT: it is not counted */
	USHER_OBSTACLE_AMEND,	 /* another description; -ENOENT */
};
struct usher_obstacle_order {
	__u64 cookie;
	struct usher_obstacle obstacle;
	__u32 what;
	__s32 result; /* 0 or a negative errno */
};

/* What the dispatcher yields to */
enum usher_obstacle_kind {
	USHER_OBSTACLE_NONE,
	USHER_OBSTACLE_ADDRESS,	       /* a socket bound to the address */
	USHER_OBSTACLE_ADDRESS_DEVICE, /* the same, and to the device */
	USHER_OBSTACLE_DEVICE,	       /* a socket bound to the device and no address */
	USHER_OBSTACLE_WILDCARD,       /* a socket bound to neither */
	USHER_OBSTACLE_UNKNOWN,	       /* there are some that could not be counted */
	USHER_OBSTACLE_KINDS,
};

_Static_assert(sizeof(struct usher_obstacle_tuple) == 24, "layout is ABI between programs and user space");
_Static_assert(sizeof(struct usher_obstacle_cell) == 32, "layout is ABI between programs and user space");
_Static_assert(sizeof(struct usher_obstacle) == 32, "layout is ABI between programs and user space");
_Static_assert(sizeof(struct usher_obstacle_order) == 48, "layout is ABI between programs and user space");
