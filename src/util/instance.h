/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The paths of an instance of usher
 *
 * The default instance, NULL or "", uses /run/usher, /sys/fs/bpf/usher and DIR/usher/rules.d. An instance NAME uses
 * the same paths with "usher-NAME" in place of "usher"; it serves another network namespace or another set of rules.
 */

#include <limits.h>
#include <stdbool.h>

#define INSTANCE_RULE_DIRS 4

struct instance {
	char run[64 + 32];	/* /run/usher */
	char socket[64 + 48];	/* /run/usher/usher.sock; fits sun_path (108) */
	char notify[64 + 48];	/* /run/usher/notify */
	char in_force[64 + 48]; /* /run/usher/in-force: copies of rule files (rule/spare.h) */
	char pins[64 + 32];	/* /sys/fs/bpf/usher */
	char rules[INSTANCE_RULE_DIRS][64 + 48];       /* in order of precedence, the strongest first */
	const char *rule_dirs[INSTANCE_RULE_DIRS + 1]; /* pointers into rules[], NULL-terminated */
};

/*
 * instance_init() - fill in the paths
 * @name: NULL or "" for the default instance, otherwise a valid name (name.h) of at most 31 characters
 *
 * The result holds pointers into itself: do not copy it.
 *
 * Return: 0, or -EINVAL when the name is not valid.
 */
int instance_init(struct instance *instance, const char *name);
