/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The loader: the one process of usherd that has capabilities
 *
 * usherd reads rule files and requests, of which strangers send many. A fault in a parser should not give away
 * CAP_NET_ADMIN, with which a process can change routes, addresses and filters, nor CAP_BPF. So usherd forks this process
 * before it reads anything, and drops all capabilities. The loader does the things of objects.h for it, and parses
 * nothing but a struct of fixed size. It ends with usherd.
 *
 * A process that has not called loader_start() does them itself.
 */

#include "../kernel/udp_map.h"
#include "objects.h"

/*
 * loader_start() - fork the loader, and drop the capabilities of this process
 *
 * A process without capabilities keeps none; then whatever needs them fails with EPERM.
 *
 * Return: the socket that leads to the loader, of which the other end is closed when it ends; or a negative errno.
 */
int loader_start(void);

/*
 * As the functions of objects.h, and with their results. They wait for the loader, as usherd would wait for the kernel:
 * nothing that a stranger sent takes part. -ECHILD: the loader has ended.
 */
int loader_make_map(enum registry_map map);
int loader_load(const struct objects_sizes *sizes, const int *maps, struct objects_program *ret);
int loader_attach(int program, int netns);
int loader_count_programs(int netns);

int loader_load_obstacles(uint64_t netns_cookie, int events, const int *maps, struct objects_obstacles *ret);
int loader_attach_hook(int program, int cgroup, enum obstacle_hook hook);

/* loader_explain() - why one of these failed, as probe_explain(), which tries things that take capabilities */
int loader_explain(int error, struct refusal *refusal);

/* loader_try_udp_map() - as udp_map_try() */
int loader_try_udp_map(struct udp_map *ret);
