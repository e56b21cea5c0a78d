/* SPDX-License-Identifier: BSD-3-Clause */
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "../util/errno_name.h"

#define PROGRAM_PREFIX "program-"

static int check_file_system(const char *path, struct refusal *refusal)
{
	char parent[PINS_PATH_MAX];
	struct statfs fs;

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (statfs(parent, &fs) < 0)
		return refuse(refusal, errno, "cannot look at %s (%s); is sysfs mounted?", parent,
			errno_name(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		return refuse(refusal, ENODEV, "%s is not a BPF file system (ENODEV); mount -t bpf bpf %s",
			parent, parent);
	return 0;
}

static int check_folder(int fd, const char *path, struct refusal *refusal)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return refuse(refusal, EPERM,
			"%s belongs to uid %u, not to uid %u (EPERM); remove it if no usherd of that user runs",
			path, st.st_uid, geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(
			refusal, EPERM, "%s may be written by others (EPERM); chmod go-w %s", path, path);
	return 0;
}

int pins_open(const char *path, struct pins *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = check_file_system(path, refusal);
	if (r)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return refuse(refusal, errno, "cannot make %s (%s)%s", path, errno_name(errno),
			errno == EROFS ? "; make it first, and name it in ReadWritePaths= of the unit"
				       : "; usherd must run as the owner of /sys/fs/bpf, root as a rule");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return refuse(refusal, errno,
			"cannot open the folder %s (%s); it must be a directory of usherd's own", path,
			errno_name(errno));
	r = check_folder(fd, path, refusal);
	if (r)
		return r;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		return refuse(refusal, EBUSY,
			"another usherd holds %s (EBUSY); stop it, or give this one a name of its own with --instance",
			path);
	}
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->lock = TAKE_FD(fd);
	return 0;
}

void pins_close(struct pins *pins)
{
	closep(&pins->lock);
	pins->lock = -1;
}

const char *pins_path(const struct pins *pins, const char *name, char path[static PINS_PATH_MAX])
{
	(void)snprintf(path, PINS_PATH_MAX, "%.100s/%.50s", pins->path, name);
	return path;
}

int pins_get(const struct pins *pins, const char *name)
{
	char path[PINS_PATH_MAX];
	int fd = bpf_obj_get(pins_path(pins, name, path));

	return fd < 0 ? -errno : fd;
}

int pins_put(const struct pins *pins, const char *name, int fd)
{
	char path[PINS_PATH_MAX];

	return bpf_obj_pin(fd, pins_path(pins, name, path)) < 0 ? -errno : 0;
}

int pins_replace(const struct pins *pins, const char *name, int fd)
{
	char path[PINS_PATH_MAX], temporary[PINS_PATH_MAX], next[64];
	int r;

	(void)snprintf(next, sizeof(next), "%.50s-next", name);
	r = pins_drop(pins, next);
	if (r < 0)
		return r;
	r = pins_put(pins, next, fd);
	if (r < 0)
		return r;
	if (rename(pins_path(pins, next, temporary), pins_path(pins, name, path)) < 0) {
		r = -errno;
		(void)pins_drop(pins, next);
		return r;
	}
	return 0;
}

int pins_drop(const struct pins *pins, const char *name)
{
	char path[PINS_PATH_MAX];

	return unlink(pins_path(pins, name, path)) < 0 && errno != ENOENT ? -errno : 0;
}

const char *pins_program_name(uint64_t generation, char name[static 32])
{
	(void)snprintf(name, 32, PROGRAM_PREFIX "%" PRIu64, generation);
	return name;
}

static void closedirp(DIR **folder)
{
	if (*folder)
		(void)closedir(*folder);
}

int pins_foreach_program(const struct pins *pins,
	int (*function)(const char *name, uint64_t generation, void *userdata), void *userdata)
{
	_cleanup_(closedirp) DIR *folder = opendir(pins->path);
	const struct dirent *entry;
	int r;

	if (!folder)
		return -errno;
	while ((entry = readdir(folder))) {
		uint64_t generation;
		char end;

		if (sscanf(entry->d_name, PROGRAM_PREFIX "%" SCNu64 "%c", &generation, &end) != 1)
			continue;
		r = function(entry->d_name, generation, userdata);
		if (r)
			return r;
	}
	return 0;
}

/* A folder that somebody made among the pins: rmdir(2) would fail in the end, with the pins gone. */
static int check_removable(DIR *folder)
{
	const struct dirent *entry;
	struct stat st;

	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' &&
			fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISDIR(st.st_mode))
			return -EISDIR;
	rewinddir(folder);
	return 0;
}

int pins_remove_all(struct pins *pins)
{
	_cleanup_(closedirp) DIR *folder = opendir(pins->path);
	const struct dirent *entry;
	int r;

	if (!folder)
		return -errno;
	r = check_removable(folder);
	if (r < 0)
		return r;
	/* the link first: what it dispatches with must not vanish piece by piece under it */
	r = pins_drop(pins, "link");
	while (!r && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = pins_drop(pins, entry->d_name);
	if (r < 0)
		return r;
	/* in a unit that can write nowhere else on bpffs, the folder is a mount and stays; the unit removes it */
	return rmdir(pins->path) < 0 && errno != EBUSY && errno != EROFS ? -errno : 0;
}
