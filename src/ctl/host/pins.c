/* SPDX-License-Identifier: BSD-3-Clause */
#include "pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../complain.h"

enum pins_state pins_look(const char *path)
{
	char link[PATH_MAX];
	struct stat st;

	(void)snprintf(link, sizeof(link), "%s/link", path);
	if (lstat(link, &st) == 0)
		return PINS_ATTACHED;
	if (errno != ENOENT && errno != ENOTDIR)
		return PINS_UNKNOWN;
	if (lstat(path, &st) == 0)
		return PINS_LEFTOVER;
	return errno == ENOENT ? PINS_NONE : PINS_UNKNOWN;
}

static void closedirp(DIR **folder)
{
	if (*folder)
		(void)closedir(*folder);
}

static int refuse_errno(struct refusal *refusal, const char *action, const char *path, const char *remedy)
{
	int error = errno;

	return refuse(refusal, error, "cannot %s %s: %s (%s)%s", action, path, errno_text(error),
		errno_name(error), error == EACCES || error == EPERM ? "; run it as root" : remedy);
}

static int open_folder(const char *path, int *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return errno == ENOENT
			       ? PINS_NOT_THERE
			       : refuse_errno(refusal, "open", path, "; it is not a folder of usher's");
	if (fstatfs(fd, &fs) < 0)
		return refuse_errno(refusal, "look at", path, "");
	if (fs.f_type != BPF_FS_MAGIC)
		return refuse(refusal, ENODEV,
			"%s is not in a BPF file system (ENODEV), so nothing of usher's is pinned there",
			path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return refuse_errno(refusal, "lock", path, "");
		return refuse(refusal, EBUSY,
			"a broker that does not listen on the socket that was tried holds %s (EBUSY); stop it, or name its socket with --socket",
			path);
	}
	*ret = TAKE_FD(fd);
	return 0;
}

static int remove_entry(int folder, const char *path, const char *name, struct refusal *refusal)
{
	char full[PATH_MAX];

	if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
		return 0;
	(void)snprintf(full, sizeof(full), "%s/%s", path, name);
	return refuse_errno(refusal, "remove", full, "");
}

int pins_remove(const char *path, struct refusal *refusal)
{
	_cleanup_(closedirp) DIR *folder = NULL;
	_cleanup_close_ int lock = -1, copy = -1;
	const struct dirent *entry;
	int r;

	r = open_folder(path, &lock, refusal);
	if (r)
		return r;
	copy = fcntl(lock, F_DUPFD_CLOEXEC, 3);
	folder = copy < 0 ? NULL : fdopendir(copy);
	if (!folder)
		return refuse_errno(refusal, "read", path, "");
	(void)TAKE_FD(copy);
	/* the link first: what it dispatches with must not vanish piece by piece under it */
	r = remove_entry(lock, path, "link", refusal);
	while (!r && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_entry(lock, path, entry->d_name, refusal);
	if (r)
		return r;
	if (rmdir(path) < 0 && errno != ENOENT)
		return refuse_errno(refusal, "remove", path, "");
	return 0;
}
