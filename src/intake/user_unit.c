/* SPDX-License-Identifier: BSD-3-Clause */
#include "user_unit.h"

#include <systemd/sd-login.h>

#include "../util/macro.h"
#include "../util/proc.h"

char *user_unit_read(pid_t pid, uid_t uid)
{
	_cleanup_free_ char *cgroup = NULL;

	return sd_pid_get_cgroup(pid, &cgroup) < 0 ? NULL : proc_find_user_unit(cgroup, uid);
}
