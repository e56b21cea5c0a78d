/* SPDX-License-Identifier: BSD-3-Clause */
#include "cgroup_root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "../util/cleanup.h"
#include "../util/errno_name.h"

int cgroup_root_open(int *ret, struct refusal *refusal)
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[3 * PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	struct statfs fs;

	if (!mounts)
		return refuse(refusal, errno, "cannot read /proc/self/mountinfo (%s); is /proc mounted?",
			errno_name(errno));
	while (fgets(line, sizeof(line), mounts)) {
		_cleanup_close_ int fd = -1;

		/* a bind mount may show a part of it, and another mount may lie over it */
		if (!strstr(line, " - cgroup2 ") ||
			sscanf(line, "%*s %*s %*s %4095s %4095s", root, path) != 2 || strcmp(root, "/") != 0)
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		*ret = TAKE_FD(fd);
		return 0;
	}
	return refuse(refusal, ENODEV,
		"no cgroup v2 file system is mounted, which Order=before-wildcard and Order=last need (ENODEV); mount -t cgroup2 cgroup2 /sys/fs/cgroup, or beside v1 on /sys/fs/cgroup/unified");
}
