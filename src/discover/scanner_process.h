/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a process does that scans for usher-discover (scanner.h) */

#include <stdint.h>

#include "ruleset.h"

struct scanner_process {
	int socket; /* to usher-discover; the only descriptor that it needs from `first_fd` on */
	int first_fd;
	pid_t parent;
	const struct ruleset *set;
	const char *broker; /* socket of the broker */
	uint64_t netns_cookie;
};

/*
 * scanner_process_run() - for a child of usher-discover, after fork(2): serve requests until usher-discover hangs up
 *
 * It keeps the capabilities that a scan needs, and ends with its parent.
 */
void scanner_process_run(const struct scanner_process *process) __attribute__((noreturn));
