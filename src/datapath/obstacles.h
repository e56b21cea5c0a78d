/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Obstacles: the sockets of others that rules with a later order do not override
 *
 * bpf/usher-obstacles.h describes the maps. The hooks keep them right while they are attached; what was there before, and
 * what a hook cannot see, comes from sock_diag(7) (../broker/lookout.h), through the functions here. All of it is pinned,
 * so that a dispatcher that goes on without the broker does not believe counts that nobody keeps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-obstacles.h"
#include "../util/error.h"
#include "objects.h"
#include "pins.h"

struct obstacles {
	const struct pins_folder *pins; /* borrowed */
	struct objects_obstacles objects;
	struct usher_obstacle_counts *counts; /* mapped */
	bool adopted;			      /* the maps were pinned before */
};

/*
 * obstacles_open() - adopt the pinned maps, or make and pin new ones; load the programs
 * @pins: must live as long
 *
 * Nothing is attached. If a map is missing, or of another version, all of them, and the links, go and new ones are made.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int obstacles_open(const struct pins_folder *pins, uint64_t netns_cookie, int events, struct obstacles **ret,
	struct refusal *refusal);

/* obstacles_close() - what is pinned stays; accepts NULL, returns NULL */
struct obstacles *obstacles_close(struct obstacles *obstacles);
DEFINE_CLEANUP(struct obstacles, obstacles_close);

/* obstacles_remove() - unpin everything: links first, what adds before what takes away */
void obstacles_remove(const struct pins_folder *pins);

/* obstacles_are_pinned() - whether an earlier broker left any of it */
bool obstacles_are_pinned(const struct pins_folder *pins);

/*
 * obstacles_attach() - attach the hooks, or put these programs in place of those of another version
 * @udp: with those for UDP, which are for nothing else
 *
 * Links that were detached are made again. Return: 0, REFUSED, or a negative errno.
 */
int obstacles_attach(const struct obstacles *obstacles, bool udp, struct refusal *refusal);

/* obstacles_detach_udp() - unpin what is only for UDP */
void obstacles_detach_udp(const struct obstacles *obstacles);

/* obstacles_track() - count on these ports; @add: and on those that are tracked now */
void obstacles_track(const struct obstacles *obstacles, const struct usher_obstacle_tracked *ports, bool add);

/* obstacles_is_tracked() - whether sockets on a port (table << 16 | port) are counted */
bool obstacles_is_tracked(const struct obstacles *obstacles, uint32_t where);

/* obstacles_want() - let the hooks report a port again; 0 and 0: all ports */
void obstacles_want(const struct obstacles *obstacles, int protocol, uint16_t port);

/* The three changes of usher-obstacles.h. Return: 0 or a negative errno, as they say there. */
int obstacles_note(const struct obstacles *obstacles, uint64_t cookie, const struct usher_obstacle *obstacle);
int obstacles_forget(const struct obstacles *obstacles, uint64_t cookie);
int obstacles_amend(
	const struct obstacles *obstacles, uint64_t cookie, const struct usher_obstacle *obstacle);

struct obstacles_record {
	uint64_t cookie;
	struct usher_obstacle obstacle;
};

/*
 * obstacles_read() - what is counted
 * @ret: sorted by cookie; to be freed with free()
 */
int obstacles_read(const struct obstacles *obstacles, struct obstacles_record **ret, size_t *ret_n);

/* obstacles_count() - how many there are; without reading them */
size_t obstacles_count(const struct obstacles *obstacles);

/* How many sockets of a port (table << 16 | port) were not counted; it yields until obstacles_regain() */
uint64_t obstacles_lost(const struct obstacles *obstacles, uint32_t where);

/* obstacles_lose() - let a port yield */
void obstacles_lose(const struct obstacles *obstacles, uint32_t where);

/* obstacles_next_lost() - the first such port from here on; USHER_TABLES * USHER_PORTS: none */
uint32_t obstacles_next_lost(const struct obstacles *obstacles, uint32_t where);

/*
 * obstacles_expect_all() - before user space looks at a port: from here on, another socket that is not counted shows
 * obstacles_regain()       - user space has noted all
 */
void obstacles_expect_all(const struct obstacles *obstacles, uint32_t where);
void obstacles_regain(const struct obstacles *obstacles, uint32_t where);
