/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A group of cgroup2 by its number, the unit that it belongs to, and the BPF programs that see what its sockets receive */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Other outcomes of the functions than 0 */
enum { CGROUP_UNKNOWN = 1 }; /* it is gone, or this user may not see it */

/* cgroup_find() - @ret: its folder; @ret_path: where in it the path begins that is relative to the root. Return: 0 or CGROUP_UNKNOWN. */
int cgroup_find(uint64_t id, char ret[static PATH_MAX], const char **ret_path);

/*
 * cgroup_unit() - the unit of systemd to which a path belongs: "web.service" of "system.slice/web.service/worker"
 *
 * Return: "" when there is none.
 */
const char *cgroup_unit(const char *path, char unit[static NAME_MAX + 1]);

struct cgroup_program {
	uint32_t id;
	char name[16];
};

#define CGROUP_PROGRAMS_MAX 64

/*
 * cgroup_programs() - those of kind cgroup_skb that act on what sockets of a group receive, of its parents too
 * @folder: of the group
 *
 * Return: 0, or CGROUP_UNKNOWN: only root may ask.
 */
int cgroup_programs(const char *folder, struct cgroup_program ret[static CGROUP_PROGRAMS_MAX], size_t *ret_n);

/*
 * cgroup_programs_elsewhere() - for a group that is gone: may there be programs that act on its sockets? They may be
 * attached to the group itself, and then to none that is there, or to a slice.
 *
 * Return: 0, or CGROUP_UNKNOWN.
 */
int cgroup_programs_elsewhere(bool *ret);
