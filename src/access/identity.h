/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Who sent a packet, as the kernel says. Nothing in here comes from what the packet says. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary groups; borrowed */
	size_t n_groups;
	pid_t pid;	  /* 0: not visible in the broker's pid namespace */
	const char *unit; /* systemd unit, "" when there is none; borrowed */
	bool verified;	  /* pid and unit come from a pidfd that the kernel attached to the packet */
};
