/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What only a process with CAP_BPF and CAP_NET_ADMIN can make in the kernel, or ask it
 *
 * Everything else that usherd does with maps, programs and the link needs a descriptor of them, and no capability
 * (__sys_bpf() of kernel/bpf/syscall.c, since Linux 5.19). The loader calls these, and nobody else in usherd.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/usher-obstacles.h"
#include "../util/error.h"
#include "../util/macro.h"
#include "registry.h"

struct dispatch;

/* The words in dispatch.bpf.c and in the folder of pins */
const char *objects_map_name(enum registry_map map);
struct bpf_map *objects_find_map(const struct dispatch *program, enum registry_map map);

/* The sizes of a program that its rules decide */
struct objects_sizes {
	uint32_t first_node; /* the number of the first node, after those of the seats */
	uint32_t n_nodes;
	uint32_t
		has_later; /* 1: a rule has a later order; then the maps of obstacles follow those of the registry */
};

/* The descriptors of a program that was loaded; its tables are all zero. -1: none */
enum objects_fd {
	OBJECTS_DISPATCH,
	OBJECTS_QUESTION,
	OBJECTS_ANSWERS,
	OBJECTS_NODES,
	OBJECTS_TABLES, /* the global data: struct dispatch__bss */
	OBJECTS_FDS,
};

struct objects_program {
	int fds[OBJECTS_FDS];
};

#define OBJECTS_PROGRAM_NULL ((struct objects_program){.fds = {-1, -1, -1, -1, -1}})

static inline void objects_program_deinit(struct objects_program *program)
{
	for (int i = 0; i < OBJECTS_FDS; i++)
		closep(&program->fds[i]);
}

/* objects_make_map() - Return: a descriptor, or a negative errno */
int objects_make_map(enum registry_map map);

/* What counts obstacles (bpf/usher-obstacles.h), and the words in the folder of pins */
enum obstacle_map {
	OBSTACLE_COUNTS,
	OBSTACLES,
	OBJECTS_DISPATCHER_OBSTACLES, /* how many of them the dispatcher uses */
	OBSTACLE_LOCK = OBJECTS_DISPATCHER_OBSTACLES,
	OBSTACLE_ORDER,
	OBSTACLE_MAPS,
};

/* In the order in which they are attached: what takes away first */
enum obstacle_hook {
	OBSTACLE_RELEASE,
	OBSTACLE_CONNECT4,
	OBSTACLE_CONNECT6,
	OBSTACLE_SOCKOPS,
	OBSTACLE_BIND4,
	OBSTACLE_BIND6,
	OBSTACLE_HOOKS,
};

struct objects_obstacles {
	int maps[OBSTACLE_MAPS];
	int hooks[OBSTACLE_HOOKS];
	int change; /* the program that changes the maps */
};
#define OBJECTS_OBSTACLES_FDS (sizeof(struct objects_obstacles) / sizeof(int))
#define OBJECTS_OBSTACLES_NULL                                                                               \
	((struct objects_obstacles){                                                                         \
		.maps = {-1, -1, -1, -1}, .hooks = {-1, -1, -1, -1, -1, -1}, .change = -1})

void objects_obstacles_deinit(struct objects_obstacles *obstacles);

const char *objects_obstacle_map_name(enum obstacle_map map);
const char *objects_hook_name(enum obstacle_hook hook);

/* objects_obstacle_map_fits() - whether a pinned map has the layout of this version */
bool objects_obstacle_map_fits(enum obstacle_map map, int fd);

/*
 * objects_load_obstacles() - load the programs that count obstacles
 * @events: of the registry
 * @maps:   OBSTACLE_MAPS descriptors, or NULL: new ones are made
 * @ret:    with descriptors of its own of all maps
 */
int objects_load_obstacles(uint64_t netns_cookie, int events, const int *maps, struct objects_obstacles *ret);

/* objects_attach_hook() - Return: the descriptor of a new link to the cgroup, or a negative errno */
int objects_attach_hook(int program, int cgroup, enum obstacle_hook hook);

/*
 * objects_load() - load the dispatcher
 * @maps: of the registry, REGISTRY_MAPS descriptors, and with sizes.has_later OBJECTS_DISPATCHER_OBSTACLES more
 *
 * Return: 0 or a negative errno, which probe_explain() explains.
 */
int objects_load(const struct objects_sizes *sizes, const int *maps, struct objects_program *ret);

/* objects_attach() - Return: the descriptor of a new link to the network namespace, or a negative errno */
int objects_attach(int program, int netns);

/* objects_count_programs() - Return: how many sk_lookup programs the namespace has, or a negative errno */
int objects_count_programs(int netns);
