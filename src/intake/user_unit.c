/* SPDX-License-Identifier: BSD-3-Clause */
#include "user_unit.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "../util/macro.h"
#include "../util/proc.h"

char *user_unit_read(pid_t pid, uid_t uid, const char *unit)
{
	_cleanup_free_ char *cgroup = NULL;
	char manager[64];

	(void)snprintf(manager, sizeof(manager), "user@%u.service", uid);
	if (!unit || strcmp(unit, manager) != 0)
		return NULL;
	return sd_pid_get_cgroup(pid, &cgroup) < 0 ? NULL : proc_find_user_unit(cgroup, uid);
}
