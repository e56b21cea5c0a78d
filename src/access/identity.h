/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Who sent a packet, according to the kernel. Nothing here comes from the text of the packet. */

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
	const char *
		user_unit; /* unit of the service manager of this very uid; NULL or "" when there is none; borrowed */
	bool verified; /* pid and unit come from a pidfd that the kernel attached to the packet */
};
