/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What only a process with CAP_BPF and CAP_NET_ADMIN can make in the kernel, or ask it
 *
 * Everything else that usherd does with maps, programs and the link needs a descriptor of them, and no capability
 * (__sys_bpf() of kernel/bpf/syscall.c, since Linux 5.19). The loader calls these, and nobody else in usherd.
 */

#include <stdint.h>

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

/*
 * objects_load() - load the dispatcher
 * @maps: of the registry, REGISTRY_MAPS descriptors
 *
 * Return: 0 or a negative errno, which probe_explain() explains.
 */
int objects_load(const struct objects_sizes *sizes, const int *maps, struct objects_program *ret);

/* objects_attach() - Return: the descriptor of a new link to the network namespace, or a negative errno */
int objects_attach(int program, int netns);

/* objects_count_programs() - Return: how many sk_lookup programs the namespace has, or a negative errno */
int objects_count_programs(int netns);
