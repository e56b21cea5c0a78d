/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The unit of a process in the service manager of its user */

#include <sys/types.h>

/*
 * user_unit_read() - by the cgroup of the process (proc_find_user_unit())
 * @unit: the process's unit in the system's service manager, or NULL. Only below user@UID.service is there another one.
 *
 * It was about this process only if that still lives afterwards. Return: the name, to be freed, or NULL.
 */
char *user_unit_read(pid_t pid, uid_t uid, const char *unit);
