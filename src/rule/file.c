/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../util/errno_name.h"
#include "rule.h"

#ifndef STATX_MNT_ID_UNIQUE /* Linux 6.8 */
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

#define FIELDS (STATX_BASIC_STATS | STATX_MNT_ID | STATX_MNT_ID_UNIQUE)

int file_complain_errno(struct problems *problems, const char *path, const char *what, int error)
{
	int r = problems_add(problems, path, 0, "%s: %s (%s)", what, errno_text(error), errno_name(error));

	return r < 0 ? r : RULE_BAD;
}

int file_complain(struct problems *problems, const char *path, const char *text)
{
	int r = problems_add(problems, path, 0, "%s", text);

	return r < 0 ? r : RULE_BAD;
}

/* Return: 0, RULE_BAD, FILE_MASKED, or -ENOMEM. */
static int check_status(const struct statx *status, const char *path, struct problems *problems)
{
	if (S_ISCHR(status->stx_mode) && status->stx_rdev_major == 1 && status->stx_rdev_minor == 3)
		return FILE_MASKED;
	if (!S_ISREG(status->stx_mode))
		return file_complain(problems, path, "it is not a regular file");
	if (!status->stx_size)
		return FILE_MASKED;
	if (status->stx_size > RULE_FILE_MAX)
		return file_complain(
			problems, path, "the file is larger than 64 MiB; split it into several rules");
	return 0;
}

/* Handles a file that cannot be opened or looked at. Return: RULE_BAD, FILE_GONE, or -ENOMEM. */
static int complain_open(const char *path, int error, struct problems *problems)
{
	struct stat link;

	if (error == ENOENT && lstat(path, &link) < 0 && errno == ENOENT)
		return FILE_GONE;
	return file_complain_errno(problems, path, "cannot open the file", error);
}

/*
 * The clock is the one from which file systems take their times. AT_STATX_FORCE_SYNC: a network file system must ask
 * its server, not its cache. O_NONBLOCK: otherwise open(2) would wait forever for a writer of a FIFO.
 */
int file_open(const char *path, struct file *file, struct problems *problems)
{
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &file->opened);
	file->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file->fd < 0)
		return complain_open(path, errno, problems);
	if (statx(file->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, FIELDS, &file->status) < 0)
		return file_complain_errno(problems, path, "cannot read the file", errno);
	return check_status(&file->status, path, problems);
}

int file_look(const char *path, struct problems *problems)
{
	struct statx status;

	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &status) < 0)
		return complain_open(path, errno, problems);
	return check_status(&status, path, problems);
}

void file_close(struct file *file)
{
	closep(&file->fd);
	file->fd = -1;
}

int file_read(
	const struct file *file, const char *path, char **ret, size_t *ret_size, struct problems *problems)
{
	size_t capacity = (size_t)file->status.stx_size + 1, size = 0; /* one byte more, to see the end */
	_cleanup_free_ char *text = malloc(capacity);

	for (;;) {
		ssize_t n;

		if (!text)
			return -ENOMEM;
		n = read(file->fd, text + size, capacity - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_complain_errno(problems, path, "cannot read the file", errno);
		size += (size_t)n;
		if (size > RULE_FILE_MAX)
			return file_complain(problems, path,
				"the file is larger than 64 MiB; split it into several rules");
		if (!n)
			break;
		if (size == capacity) { /* it has grown since statx(2) */
			char *larger;

			capacity = 2 * capacity < RULE_FILE_MAX ? 2 * capacity : RULE_FILE_MAX + 1;
			larger = realloc(text, capacity);
			if (!larger)
				return -ENOMEM;
			text = larger;
		}
	}
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

bool file_is_settled(const struct file *file)
{
	const struct statx_timestamp *changed = &file->status.stx_ctime;
	int64_t seconds = (int64_t)file->opened.tv_sec - FILE_SETTLED_SEC;

	return changed->tv_sec < seconds ||
	       (changed->tv_sec == seconds && (int64_t)changed->tv_nsec <= (int64_t)file->opened.tv_nsec);
}

static struct file_identity identify(const struct statx *status)
{
	return (struct file_identity){
		.mount = status->stx_mnt_id,
		.device = makedev(status->stx_dev_major, status->stx_dev_minor),
		.inode = status->stx_ino,
		.size = status->stx_size,
		.modified = status->stx_mtime.tv_sec,
		.modified_nsec = status->stx_mtime.tv_nsec,
		.changed = status->stx_ctime.tv_sec,
		.changed_nsec = status->stx_ctime.tv_nsec,
	};
}

/* By its path: to open and close the file would take three times as long. */
bool file_is_unchanged(const char *path, const struct rule_origin *origin)
{
	struct file_identity identity;
	struct statx status;

	if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, FIELDS, &status) < 0)
		return false;
	identity = identify(&status);
	return !memcmp(&identity, &origin->identity, sizeof(identity));
}

struct rule_origin *file_origin(const struct file *file)
{
	struct rule_origin *origin = malloc(sizeof(*origin));

	if (origin)
		*origin = (struct rule_origin){.n_rules = 1, .identity = identify(&file->status)};
	return origin;
}
