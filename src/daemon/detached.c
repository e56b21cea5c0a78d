/* SPDX-License-Identifier: BSD-3-Clause */
#include "detached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "../util/macro.h"

#define PATH_SIZE (sizeof(((struct instance *)NULL)->run) + 16)

static const char *format_path(const struct instance *instance, char path[static PATH_SIZE])
{
	(void)snprintf(path, PATH_SIZE, "%s/detached", instance->run);
	return path;
}

void detached_mark(const struct instance *instance)
{
	char path[PATH_SIZE];
	_cleanup_close_ int fd =
		open(format_path(instance, path), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		observe(OBSERVE_FAILED, NULL,
			"cannot write %s (%s): if a socket unit starts usherd, the next client does; stop that unit",
			path, errno_name(errno));
}

void detached_clear(const struct instance *instance)
{
	char path[PATH_SIZE];

	(void)unlink(format_path(instance, path));
}
