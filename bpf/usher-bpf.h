/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * What the dispatcher (dispatch.bpf.c) and user space share
 *
 * A *seat* is (name, protocol, family): the target of a rule. Seats have numbers, 1 to USHER_SEATS_MAX - 1, which stay
 * the same for as long as the seat exists. They index `front`, `seats` and `counters`, and are half of the key of
 * `sockets` and `places`. No seat has the number 0, so that a word of all zeros means "no rule".
 *
 * A *place* is one alternative of a seat: a socket, or the sockets of one SO_REUSEPORT group, its *members*. A seat has
 * USHER_PLACES_MAX of them, and twice as many slots, so that sockets are ready beside those that they replace. Slots have
 * no rank: the rank is in the seat's `order`, whose bytes name slots, newest hand-in first.
 *
 * Names never enter the program. User space keeps them in `seats`, beside the order.
 *
 * There are two kinds of maps. *Registry* maps outlive every generation and are pinned: sockets, front, early,
 * early_rules, seats, places, members, groups, counters, refused_device, yielded, events, state. *Generation* maps belong to
 * one loaded program and are written before it is made current, never after: the port table (in the program's global data)
 * and the nodes.
 *
 * A change that alters the layout of a registry map or the meaning of a value in it must raise USHER_SCHEMA. A new
 * registry map need not: a broker makes maps that the pins lack, and an older broker, whose program does not use the
 * map, leaves it alone. A change of generation maps need not either: a broker makes its own when it starts.
 */

#include <linux/types.h>

/* Stored in `state`; a broker refuses pins with another number. */
#define USHER_SCHEMA 1U
#define USHER_STATE_MAGIC 0x72687375U /* "usher" without the e, little endian */

#define USHER_SEATS_MAX 4096U
#define USHER_PLACES_MAX 8U
#define USHER_SLOTS_MAX 16U    /* of a seat: a full one can be replaced by as many sockets at once */
#define USHER_MEMBERS_MAX 256U /* of a group, in one seat */
#define USHER_GROUPS_MAX 8192U
#define USHER_NAME_MAX 64U  /* with the terminating NUL */
#define USHER_UNIT_MAX 128U /* with the terminating NUL; longer unit names are cut */
#define USHER_EVENTS_BYTES (256U * 1024U)

/*
 * The word in the port table and in the nodes
 *
 *   0                         no rule: the kernel's normal lookup goes on
 *   below USHER_SEATS_MAX     this seat
 *   USHER_SEATS_MAX and above, below `first_node`
 *                             the seat that is USHER_SEATS_MAX less, whose rule has a later order
 *   `first_node` and above    look the address up in this node
 *
 * `first_node` is a constant of the generation, above all other words. The word of a later order is none of the keys of
 * `counters`, so the program finds it where that lookup fails, and a rule with Order=first pays nothing for it. A word has no flags, so that the program can
 * use it in place as the key of a map. For a key on the stack, the verifier would add an instruction against
 * speculation, which takes longer than the lookup (for a loader without CAP_PERFMON).
 */

/* Order=, of the rule of a seat */
enum usher_order {
	USHER_ORDER_FIRST,
	USHER_ORDER_BEFORE_WILDCARD,
	USHER_ORDER_LAST,
};

/* For each seat, in the program's global data; all zero unless the order is a later one. */
struct usher_later {
	__u32 seat;
	__u32 order; /* enum usher_order */
	__u64 event_time; /* CLOCK_MONOTONIC ns of the last USHER_EVENT_YIELDED, for the limit of one per interval */
};

/* The port table has one unused word, and then USHER_PORTS words for each of these in turn. */
#define USHER_TABLE_TCP4 0U
#define USHER_TABLE_UDP4 1U
#define USHER_TABLE_TCP6 2U
#define USHER_TABLE_UDP6 3U
#define USHER_TABLES 4U
#define USHER_PORTS 65536U

/*
 * Value of `nodes` (ARRAY): a piece of the address space, cut into ranges
 *
 * The first range has the values below starts[0], range i those from starts[i - 1] to below starts[i], the last one the
 * rest; words[i] is the word of range i. Values are 32 bits of an address, in host order: the first 32 at the node to
 * which a port leads. If bit i of `next` is set, words[i] is a node for the next 32 bits. In a node with fewer ranges,
 * the unused ones start at the highest value and have the word of the last one.
 */
#define USHER_NODE_RANGES 8U
struct usher_node {
	__u32 next;
	__u32 starts[USHER_NODE_RANGES - 1];
	__u32 words[USHER_NODE_RANGES];
};

/*
 * No tree of nodes for 32 bits is higher: with two million prefixes, the maximum, it has four million ranges. An IPv6
 * address goes through USHER_STEPS_MAX trees at most.
 */
#define USHER_LEVELS_MAX 8U
#define USHER_STEPS_MAX 4U

/* Key of `sockets` (SOCKHASH) and `places` (HASH), and of `groups` with the number 0 for the member. */
struct usher_place_key {
	__u32 seat;
	__u32 slot; /* 0 to USHER_SLOTS_MAX - 1; in the bits above these, the number of a member of a group */
};

#define USHER_SLOT_BITS 8U

/*
 * Value of `groups` (HASH): the sockets of a slot, when they have SO_REUSEPORT. Only user space reads it.
 *
 * The kernel has sockets in one group if all have the option, the same local address, device and owner, and are of one
 * kind. If one of them is selected, it chooses among all.
 */
#define USHER_GROUP_WORDS 4U
struct usher_group {
	__u64 members[USHER_GROUP_WORDS]; /* bits: those that serve */
	__u64 taken[USHER_GROUP_WORDS];	  /* bits: those, and members that are reserved */
	__u32 owner;			  /* uid of the sockets */
	__u8 kind;			  /* enum usher_kind */
	__u8 pad[3];
};

enum usher_kind {
	USHER_KIND_UNKNOWN = 0, /* `owner` is not known either: handed in to a broker that did not look */
	USHER_KIND_IPV4 = 1,
	USHER_KIND_IPV6 = 2,
	USHER_KIND_IPV6_ONLY = 3, /* IPV6_V6ONLY */
};

/*
 * Value of `members` (HASH by seat): all sockets of a seat with groups, in its order; without groups, `order` is enough
 *
 * Each is the `slot` of its key, plus one; 0 ends the list. User space replaces all of it at once.
 */
#define USHER_LIST_MAX (USHER_PLACES_MAX * USHER_MEMBERS_MAX)
struct usher_members {
	__u16 slots[USHER_LIST_MAX];
};

/*
 * Value of `seats` (ARRAY). The program reads only `order` and `groups`. Byte 0 (the least significant) is the slot that
 * serves, plus one; byte 1 is the slot, plus one, that serves when that socket has closed; a zero byte ends the list. User
 * space changes all of it with one aligned 64-bit store.
 */
struct usher_seat {
	__u64 order;
	__u8 used;     /* 0: free, everything else is zero too */
	__u8 family;   /* AF_INET or AF_INET6 */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
	__u16 groups; /* bit by slot: its sockets are those that `groups` knows, and not only the one with member 0 */
	__u8 pad2[2];
	char name[USHER_NAME_MAX];
};

/* How a socket came. New values are appended, never renumbered: the values are pinned. */
enum usher_via {
	USHER_VIA_CLIENT = 0,	  /* a program that speaks the protocol itself */
	USHER_VIA_LIBRARY = 1,	  /* libusher */
	USHER_VIA_CTL = 2,	  /* usherctl hand-in */
	USHER_VIA_DISCOVERED = 3, /* usher-discover */
	USHER_VIA_NOTIFY = 4,	  /* the notify door */
	USHER_VIA_SYSTEMD = 5,	  /* LISTEN_FDS of the broker itself */
	USHER_VIA_N,
};

#define USHER_PLACE_HELD 0x01U	     /* the broker keeps a duplicate */
#define USHER_PLACE_VERIFIED 0x02U   /* pid and unit come from a pidfd that the kernel gave, not from a pid */
#define USHER_PLACE_DUAL_STACK 0x04U /* an IPv6 socket that serves an IPv4 seat */
#define USHER_PLACE_REUSEPORT 0x08U  /* SO_REUSEPORT; not set by a broker that did not look */
#define USHER_PLACE_RELEASED 0x10U   /* the broker has let go of its duplicate, which may still be about to close */

/* Value of `places`: the description of a socket. Only user space reads it. */
struct usher_place {
	__u64 cookie;	  /* SO_COOKIE; the same as the value of `sockets` and in `ss -e` */
	__u64 handed_in;  /* CLOCK_REALTIME, microseconds */
	__u8 address[16]; /* local address, network order; IPv4 in the first 4 bytes */
	__u16 port;	  /* local port, host order */
	__u8 family;	  /* of `address`: AF_INET or AF_INET6 */
	__u8 via;	  /* enum usher_via */
	__u8 flags;	  /* USHER_PLACE_* */
	__u8 destination; /* UDP: a set of DESTINATION_* (src/util/destination.h); 0 from a broker that did not look */
	__u8 pad[2];
	__u32 pid; /* of the registrant, in the broker's pid namespace; 0 when it is not visible there */
	__u32 uid;
	__u32 gid;
	__u32 device; /* ifindex of SO_BINDTODEVICE at the hand-in; 0: none, or not known */
	char unit[USHER_UNIT_MAX];
};

/*
 * Value of `counters` (PERCPU_ARRAY by seat). `lookups` counts how often a rule sent a packet to the seat. That is not
 * the number of connections: the kernel also looks a listener up for SYN-cookie ACKs, stray segments, and every
 * datagram. Every lookup that was not dispatched adds one to exactly one of the others, so that lookups = dispatched +
 * missing + refused_* + what `refused_device` (PERCPU_ARRAY by seat, 64 bits) counts. Refused means that there were
 * sockets and none was assigned; the reason is that of the last one tried.
 *
 * `refused_device`: the socket is bound to another device than the one by which the packet came.
 *
 * A packet that a rule with a later order leaves to a socket of somebody else counts in `yielded` (PERCPU_ARRAY by seat,
 * 64 bits), and in none of these.
 */
struct usher_counters {
	__u64 lookups;
	__u64 missing;
	__u64 refused_family;	/* EAFNOSUPPORT: the socket cannot carry this family */
	__u64 refused_protocol; /* EPROTOTYPE: a TCP packet and a UDP socket, or the other way round */
	__u64 refused_state;	/* ESOCKTNOSUPPORT: not listening (any more), or connected */
	__u64 refused_exists; /* EEXIST: another sk_lookup program selected a socket first, which gets the packet */
	__u64 refused_other;
	__u64 events_lost; /* events not written because the ring buffer was full */
	__u64 event_time; /* CLOCK_MONOTONIC ns of the last event, for the rate limit of one per interval and CPU */
};

#define USHER_EVENT_VERSION 1U

/* Why an event was written. */
enum usher_event_reason {
	USHER_EVENT_MISSING = 1, /* no live socket in the seat; `error` is 0 */
	USHER_EVENT_REFUSED = 2, /* `error` is the negative errno of the last bpf_sk_assign() */
	USHER_EVENT_LISTENED =
		3, /* by usher-discover: a listener is in `early`; local_address and local_port are its own */
	USHER_EVENT_DEVICE = 4, /* the sockets are bound to other devices than `device`; `error` is -ENODEV */
	USHER_EVENT_YIELDED = 5,  /* a rule with a later order left the packet to a socket of somebody else */
	USHER_EVENT_OBSTACLE = 6, /* by obstacle_hooks.bpf.c: look at local_port, 0: at all; `seat` is 0 */
};

/*
 * Record of the ring buffer `events`. It is only a hint: rate-limited, and lost when the buffer is full. The reader
 * reads the maps again.
 */
struct usher_event {
	__u32 version; /* USHER_EVENT_VERSION */
	__u32 reason;  /* enum usher_event_reason */
	__s32 error;
	__u32 seat;
	__u64 time;		/* CLOCK_MONOTONIC, ns */
	__u8 local_address[16]; /* network order, IPv4 in the first 4 bytes */
	__u8 remote_address[16];
	__u16 local_port;  /* host order */
	__u16 remote_port; /* host order */
	__u8 family;	   /* AF_INET or AF_INET6 */
	__u8 protocol;	   /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 passed;	   /* 1: Missing=pass, the kernel's normal lookup went on */
	__u8 pad;
	/* records of versions before this one end here: USHER_EVENT_SIZE_MIN */
	__u32 device; /* ifindex by which the packet came; of a VRF, that of the VRF */
	__u32 pad2;
};
#define USHER_EVENT_SIZE_MIN 64U

/*
 * Listen=kernel: listeners that are let in at the moment of listen(2)
 *
 * `early` (SOCKMAP by seat) holds a listener that a sock_ops program of usher-discover (listen.bpf.c) put there because
 * `early_rules` (HASH, written by the broker) names its address and its user. The dispatcher looks there last, when no
 * place of the seat can take the packet. `early` only fills a gap: usher-discover hands the same socket in at once,
 * with all checks of a hand-in, and the broker then empties the slot. It also empties the slot if there was no hand-in
 * within USHER_EARLY_SECONDS.
 *
 * The record in `events` (USHER_EVENT_LISTENED) comes after the listener is in. Like any other, it is lost when the
 * ring buffer is full; so the broker looks at `early` each time it has emptied the buffer.
 */
#define USHER_EARLY_MAX 4096U
#define USHER_EARLY_UIDS 8U
#define USHER_EARLY_SECONDS 5U

struct usher_early_key {
	__u8 family;	  /* of the socket: AF_INET or AF_INET6 */
	__u8 any;	  /* 1: whatever the local address; `address` is zero */
	__u16 port;	  /* local port, host order */
	__u8 address[16]; /* local address, network order, IPv4 in the first 4 bytes */
};

struct usher_early_rule {
	__u32 seat;	 /* where a socket of the key's family goes; 0: nowhere */
	__u32 seat_ipv4; /* where an IPv6 socket that is not v6-only goes as well; 0: nowhere */
	__u32 n_uids;
	__u32 uids[USHER_EARLY_UIDS]; /* effective uid of the process that listens; root is always let in */
	__u32 pad;
	char unit[USHER_UNIT_MAX]; /* its systemd unit: the topmost cgroup that is no slice; "": any */
};

/*
 * Value of `answers` (ARRAY of one, of a generation): what usher_question found, besides verdict and socket, and the
 * part of the question that BPF_PROG_TEST_RUN cannot carry.
 */
struct usher_answer {
	__u32 device; /* asked: ifindex by which the packet comes; 0: a device to which the socket is bound */
	__u32 seat;   /* of the rule that matched; 0: none did */
	__s32 error; /* when no socket was selected: the errno of the last bpf_sk_assign(); 0: there was no socket */
	__u32 obstacle; /* enum usher_obstacle_kind: to what the rule leaves the packet */
};

/* Value of `state` (ARRAY of one): what the pins are. */
struct usher_state {
	__u32 magic;
	__u32 schema;
	__u64 netns_cookie; /* SO_NETNS_COOKIE of the namespace that the pins serve */
	__u64 generation;   /* number of the generation that became current last */
	__u64 applied;	    /* when it did: CLOCK_REALTIME, microseconds */
};

_Static_assert(sizeof(struct usher_node) == 64, "a node is a line of the processor's cache");
_Static_assert(sizeof(struct usher_later) == 16, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_place_key) == 8, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_group) == 72, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_members) == 4096, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_seat) == 16 + USHER_NAME_MAX, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_place) == 56 + USHER_UNIT_MAX, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_counters) == 72, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_event) == 72, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_early_key) == 20, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_early_rule) == 48 + USHER_UNIT_MAX, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_answer) == 16, "layout is ABI between program and user space");
_Static_assert(sizeof(struct usher_state) == 32, "layout is ABI between program and user space");
_Static_assert(USHER_PLACES_MAX == sizeof(__u64), "the order of a seat is one byte a place");
_Static_assert(USHER_SLOTS_MAX == 16, "the groups of a seat are one bit a slot");
_Static_assert(USHER_MEMBERS_MAX == 64 * USHER_GROUP_WORDS, "the members of a group are one bit each");
