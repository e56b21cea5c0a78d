/* SPDX-License-Identifier: BSD-3-Clause */
#include "pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_TEXT_MAX 160

static const char *path_of(
	const struct pins_folder *folder, const char *name, char path[static PATH_TEXT_MAX])
{
	(void)snprintf(path, PATH_TEXT_MAX, "%.100s/%.50s", folder->path, name);
	return path;
}

int pins_get(const struct pins_folder *folder, const char *name)
{
	char path[PATH_TEXT_MAX];
	int fd = bpf_obj_get(path_of(folder, name, path));

	return fd < 0 ? -errno : fd;
}

int pins_put(const struct pins_folder *folder, const char *name, int fd)
{
	char path[PATH_TEXT_MAX];

	return bpf_obj_pin(fd, path_of(folder, name, path)) < 0 ? -errno : 0;
}

int pins_replace(const struct pins_folder *folder, const char *name, int fd)
{
	char path[PATH_TEXT_MAX], temporary[PATH_TEXT_MAX], next[64];
	int r;

	(void)snprintf(next, sizeof(next), "%.50s-next", name);
	r = pins_drop(folder, next);
	if (r < 0)
		return r;
	r = pins_put(folder, next, fd);
	if (r < 0)
		return r;
	if (rename(path_of(folder, next, temporary), path_of(folder, name, path)) < 0) {
		r = -errno;
		(void)pins_drop(folder, next);
		return r;
	}
	return 0;
}

int pins_drop(const struct pins_folder *folder, const char *name)
{
	char path[PATH_TEXT_MAX];

	return unlink(path_of(folder, name, path)) < 0 && errno != ENOENT ? -errno : 0;
}
