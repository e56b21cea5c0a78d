/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The registry: who serves what, in pinned maps that outlive every program and the broker
 *
 * The maps are the truth. The registry keeps no copy of them: `seats` is mapped into memory and changed in place, the
 * rest is read when needed. Workers put sockets into the SOCKHASH, registry_places.c takes them out.
 *
 * A socket gets its place in two steps. registry_reserve() takes a slot that the seat's order does not name,
 * where the program does not look, and a worker puts the socket there. registry_commit() stores the order that names it. So
 * several sockets go in together or not at all, and if a broker dies in between, registry_open() sweeps away what it
 * left.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/usher-bpf.h"
#include "../util/error.h"
#include "census.h"
#include "pins.h"

enum registry_map {
	REGISTRY_SOCKETS,
	REGISTRY_FRONT,
	REGISTRY_EARLY,
	REGISTRY_EARLY_RULES,
	REGISTRY_SEATS,
	REGISTRY_PLACES,
	REGISTRY_MEMBERS,
	REGISTRY_GROUPS,
	REGISTRY_COUNTERS,
	REGISTRY_REFUSED_DEVICE,
	REGISTRY_YIELDED,
	REGISTRY_EVENTS,
	REGISTRY_STATE,
	REGISTRY_MAPS,
};

struct registry {
	int maps[REGISTRY_MAPS];
	struct usher_seat *seats; /* USHER_SEATS_MAX of them, mapped */
	struct usher_counters
		*cpus; /* scratch space: a record of each possible CPU for REGISTRY_BATCH seats */
	unsigned n_cpus;
	struct census *census; /* of what was there when a seat changed last, or was looked at */
	uint32_t counted;      /* the seat at which registry_recount() stopped */
	bool damaged;	       /* what was in the pins was not what a broker writes; it has been left out */
	bool lost;	       /* pins were missing, so sockets of an earlier broker could not be adopted */
};

#define REGISTRY_BATCH 64U
#define REGISTRY_RECOUNT 64U

#define REGISTRY_NULL ((struct registry){.maps = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}})

/*
 * registry_open() - adopt the pinned maps, or make and pin new ones
 * @netns_cookie: SO_NETNS_COOKIE of the namespace to be served
 *
 * Refused: pins of another schema or layout (EUCLEAN), or of another network namespace that still exists (EXDEV). Pins
 * of a namespace that is gone are removed. Some maps only make sense together. If one of these is missing because its
 * pin was deleted, all of them are created again and `lost` is set. Any other missing map is created alone: pins of an
 * earlier version lack those of Listen=kernel, for example.
 *
 * Return: 0, REFUSED, or a negative errno (-EPERM: CAP_BPF or CAP_NET_ADMIN is missing).
 */
int registry_open(
	struct pins_folder *pins, uint64_t netns_cookie, struct registry *ret, struct refusal *refusal);
void registry_close(struct registry *registry);

/*
 * registry_repair() - take over what is in the maps; for registry_open()
 *
 * What is not as a broker writes it goes, and so does what a broker left that died in the middle of a step.
 *
 * Return: 0 or -ENOMEM.
 */
int registry_repair(struct registry *registry);

/* The record of generations. From what registry_write_state() stores, a restarted broker continues the numbers. */
int registry_read_state(const struct registry *registry, struct usher_state *ret);
int registry_write_state(const struct registry *registry, const struct usher_state *state);

/* ---- seats */

/*
 * registry_sort_seats() - the seats in use, sorted by name, protocol and family
 * @name: only seats of this name; NULL: all
 * @ret:  to be freed by the caller
 *
 * registry_search_seat() finds one among them and returns its number, or 0.
 *
 * Return: 0 or -ENOMEM.
 */
int registry_sort_seats(const struct registry *registry, const char *name, uint32_t **ret, size_t *ret_n);
uint32_t registry_search_seat(const struct registry *registry, const uint32_t *sorted, size_t n,
	const char *name, int protocol, int family);

/* registry_next_seat() - the first seat in use after this one; 0 to begin with, and at the end */
uint32_t registry_next_seat(const struct registry *registry, uint32_t seat);

/* For the body of a loop over the seats in use, which may free the one it is at */
#define registry_foreach_seat(registry, seat)                                                                \
	for (uint32_t seat = 0; (seat = registry_next_seat((registry), seat));)

/* registry_take_seat() - Return: the number of a new seat with all counters zero; 0 when none is free */
uint32_t registry_take_seat(struct registry *registry, const char *name, int protocol, int family);

/* registry_free_seat() - free a seat; it must have no place (registry_reap()), and no program may know its number */
void registry_free_seat(struct registry *registry, uint32_t seat);

/* registry_read_counters() - the sum over all CPUs */
int registry_read_counters(const struct registry *registry, uint32_t seat, struct usher_counters *ret);

/* registry_sum_counters() - the sum over all CPUs and all seats in use; much cheaper than one by one */
int registry_sum_counters(const struct registry *registry, struct usher_counters *ret);

/* The same of `refused_device` */
int registry_read_refused_device(const struct registry *registry, uint32_t seat, uint64_t *ret);
int registry_sum_refused_device(const struct registry *registry, uint64_t *ret);

/* The same of `yielded` */
int registry_read_yielded(const struct registry *registry, uint32_t seat, uint64_t *ret);
int registry_sum_yielded(const struct registry *registry, uint64_t *ret);

/* ---- places */

struct registry_place {
	struct usher_place_key key;
	struct usher_place data; /* data.cookie is that of the socket which the kernel has in the slot */
};

/*
 * A walk through the live sockets of a seat, those of the place that serves first
 *
 * It may go on after whatever happened in the seat meanwhile, to places that were there when it began.
 */
struct registry_walk {
	struct usher_place_key key; /* of the socket */
	uint64_t cookie;
	unsigned rank;		       /* of its place: 0 serves */
	uint64_t order;		       /* the places that are left */
	__u64 left[USHER_GROUP_WORDS]; /* members of this one that are */
	bool lives;		       /* one of it was found */
};

struct registry_walk registry_walk_begin(const struct registry *registry, uint32_t seat);

/* registry_walk_next() - Return: whether there is one more */
bool registry_walk_next(const struct registry *registry, struct registry_walk *walk);

/* registry_walk_read() - what is known of the socket it is at */
void registry_walk_read(
	const struct registry *registry, const struct registry_walk *walk, struct registry_place *ret);

/* For the body of a loop, which may take the socket out that it is at */
#define registry_foreach_socket(registry, seat, walk)                                                        \
	for (struct registry_walk walk = registry_walk_begin((registry), (seat));                            \
		registry_walk_next((registry), &walk);)

/* registry_read_first() - the first of them; Return: whether there is one */
bool registry_read_first(const struct registry *registry, uint32_t seat, struct registry_place *ret);

/* registry_find_socket() - Return: whether a socket is in the seat; @ret may be NULL */
bool registry_find_socket(
	const struct registry *registry, uint32_t seat, uint64_t cookie, struct registry_place *ret);

/* registry_serves_with() - whether the kernel has both in one SO_REUSEPORT group: if one is selected, it chooses among all */
bool registry_serves_with(
	const struct registry *registry, const struct registry_place *a, const struct registry_place *b);

/*
 * registry_next_place() - find the next place of a socket under a name: a dual-stack socket has places in two seats
 * @seat: the seat after which to look; 0 at first
 *
 * Return: whether there is one; if so, @seat and @ret are set to it.
 */
bool registry_next_place(const struct registry *registry, const char *name, uint64_t cookie, uint32_t *seat,
	struct registry_place *ret);

/* registry_count() - have the census right about one seat */
void registry_count(struct registry *registry, uint32_t seat);

/*
 * registry_recount() - look whether the sockets of the seats are those of the census
 *
 * At REGISTRY_RECOUNT seats, and the next time at the next ones: a socket may have closed unnoticed.
 */
void registry_recount(struct registry *registry);

/* What registry_reap() found closed */
struct registry_reaped {
	struct registry_place first; /* a socket of the place that served, if that has gone */
	bool first_gone;
	unsigned n_gone; /* sockets */
};

/*
 * registry_reap() - take closed sockets out of a seat, and places without any out of its order
 * @ret: may be NULL
 *
 * Return: how many places are left.
 */
unsigned registry_reap(struct registry *registry, uint32_t seat, struct registry_reaped *ret);

/* What tells groups at one address apart, besides the device; kind USHER_KIND_UNKNOWN: nobody looked */
struct registry_kin {
	uint32_t owner; /* uid of the socket */
	enum usher_kind kind;
};

/*
 * registry_reserve() - a free slot, out of the program's sight, for a socket that somebody else puts there
 * @place:   what to remember of it
 * @kin:     whose group it may be in
 * @leaving: how many places of the seat the caller takes out of it when it commits
 *
 * A socket that the kernel has in one group with those of a place becomes a member of that place, for which the seat is
 * never full. The slot that is returned has the number of the member in it (group.h).
 *
 * Putting a socket into `sockets` takes its lock, for which its owner can make the caller wait: a worker does it
 * (worker/parcel.h), and puts it into `front` as well when it is to serve.
 *
 * Refused: places that stay, and reserved ones, are all there can be; the group has USHER_MEMBERS_MAX members, or its
 * owner REGISTRY_OWNED_MAX in all groups (ENOSPC); a map is full (E2BIG). The text starts with a verb, for a caller who
 * writes "socket 5 " in front of it.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int registry_reserve(struct registry *registry, uint32_t seat, const struct usher_place *place,
	const struct registry_kin *kin, unsigned leaving, uint32_t *ret_slot, struct refusal *refusal);

#define REGISTRY_OWNED_MAX 2048U /* sockets in groups that belong to one user, who is not root */

/* registry_refuse_socket() - why the kernel did not let a socket into `sockets`, in such a text; REFUSED */
int registry_refuse_socket(struct refusal *refusal, int error);

/* registry_unstage() - give a slot back, with what is in it */
void registry_unstage(struct registry *registry, uint32_t seat, uint32_t slot);

/*
 * registry_commit() - let the socket in a reserved slot serve
 * @rank: how many other places of the seat stay in front of its place; 0 makes it serve
 */
void registry_commit(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank);

/* registry_check_front() - remove what is in `front` and is not what the order says; the program does without */
void registry_check_front(struct registry *registry, uint32_t seat);

/* registry_is_seated() - whether the place of a slot is in the order: another member of it is committed */
bool registry_is_seated(const struct registry *registry, uint32_t seat, uint32_t slot);

/* registry_is_full() - whether a place has to leave before another one is committed */
bool registry_is_full(const struct registry *registry, uint32_t seat);

/* registry_replace() - the same, and the place of the slot `old` leaves the seat in the same step, with all members */
void registry_replace(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank, uint32_t old);

/* registry_remove() - take a socket out; another member, or else the next place, serves at once */
void registry_remove(struct registry *registry, uint32_t seat, uint32_t slot);

/* registry_write_place() - replace the description of a socket */
int registry_write_place(struct registry *registry, const struct registry_place *place);

/* ---- Listen=kernel */

/* registry_read_early() - Return: cookie of the listener that waits in `early` for this seat, or 0 */
uint64_t registry_read_early(const struct registry *registry, uint32_t seat);

/* registry_clear_early() - take the listener out; the slot may be empty */
void registry_clear_early(struct registry *registry, uint32_t seat);

struct registry_early_rule {
	struct usher_early_key key;
	struct usher_early_rule rule;
};

/*
 * registry_write_early_rules() - make `early_rules` hold these and no others
 * @rules: at most USHER_EARLY_MAX, no key twice, in the order of registry_compare_early_rules()
 *
 * Removes old rules before it adds new ones. A rule that stays is there at every moment.
 *
 * Return: 0 or a negative errno; then some of the new ones are missing.
 */
int registry_compare_early_rules(const void *a, const void *b); /* by key */
int registry_write_early_rules(struct registry *registry, const struct registry_early_rule *rules, size_t n);
