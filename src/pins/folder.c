/* SPDX-License-Identifier: BSD-3-Clause */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "../util/cleanup.h"
#include "../util/errno_name.h"
#include "../util/text.h"

#define LINK "link"
#define PROGRAM_PREFIX "program-"

/* The folder is read again up to this often, because something may have been pinned meanwhile. */
#define PASSES_MAX 64

/* ---- open and lock */

static int check_parent(const char *path, struct refusal *refusal)
{
	char parent[PINS_FOLDER_PATH_MAX];
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

static int refuse_owner(const char *path, uid_t owner, struct refusal *refusal)
{
	return refuse(refusal, EPERM,
		"%s belongs to uid %u, not to uid %u (EPERM); remove it if that user runs no usherd", path,
		owner, geteuid());
}

static int check_owner(const struct pins_folder *folder, struct refusal *refusal)
{
	struct stat st;

	if (fstat(folder->fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return refuse_owner(folder->path, st.st_uid, refusal);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(refusal, EPERM, "%s may be written by others (EPERM); chmod go-w %s",
			folder->path, folder->path);
	return 0;
}

static int open_folder(const char *path, struct pins_folder *folder, struct refusal *refusal)
{
	struct statfs fs;
	struct stat st;

	(void)snprintf(folder->path, sizeof(folder->path), "%s", path);
	folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder->fd < 0 && errno == ENOENT)
		return PINS_FOLDER_ABSENT;
	/* root without capabilities, as usherd is, may not look into what others have */
	if (folder->fd < 0 && errno == EACCES && geteuid() == 0 && lstat(path, &st) == 0 && st.st_uid != 0)
		return refuse_owner(path, st.st_uid, refusal);
	if (folder->fd < 0)
		return refuse(refusal, errno, "cannot open the folder %s (%s)%s", path, errno_name(errno),
			errno == EACCES || errno == EPERM ? "; run this as root"
							  : "; remove it if it is not a folder of usher's");
	if (fstatfs(folder->fd, &fs) < 0)
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC)
		return refuse(refusal, ENODEV,
			"%s is not in a BPF file system (ENODEV), so nothing of usher's is pinned there",
			path);
	return 0;
}

static int lock_folder(const struct pins_folder *folder)
{
	if (flock(folder->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? PINS_FOLDER_HELD : -errno;
}

int pins_folder_make(const char *path, struct pins_folder *ret, struct refusal *refusal)
{
	_cleanup_(pins_folder_close) struct pins_folder folder = PINS_FOLDER_NULL;
	int r;

	r = check_parent(path, refusal);
	if (r)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return refuse(refusal, errno, "cannot make %s (%s)%s", path, errno_name(errno),
			errno == EROFS ? "; make it first, and name it in ReadWritePaths= of the unit"
				       : "; usherd must run as the owner of /sys/fs/bpf, root as a rule");
	r = open_folder(path, &folder, refusal);
	if (r == PINS_FOLDER_ABSENT)
		return -ENOENT; /* removed at this moment */
	if (!r)
		r = check_owner(&folder, refusal);
	if (!r)
		r = lock_folder(&folder);
	if (r)
		return r;
	*ret = folder;
	folder = PINS_FOLDER_NULL;
	return 0;
}

int pins_folder_open(const char *path, struct pins_folder *ret, struct refusal *refusal)
{
	_cleanup_(pins_folder_close) struct pins_folder folder = PINS_FOLDER_NULL;
	int r;

	r = open_folder(path, &folder, refusal);
	if (!r)
		r = lock_folder(&folder);
	if (r)
		return r;
	*ret = folder;
	folder = PINS_FOLDER_NULL;
	return 0;
}

void pins_folder_close(struct pins_folder *folder)
{
	closep(&folder->fd);
	folder->fd = -1;
}

/* ---- look */

enum pins_folder_state pins_folder_look(const char *path)
{
	char link[PATH_MAX];
	struct stat st;

	(void)snprintf(link, sizeof(link), "%s/" LINK, path);
	if (lstat(link, &st) == 0)
		return PINS_FOLDER_ATTACHED;
	if (errno != ENOENT && errno != ENOTDIR)
		return PINS_FOLDER_UNKNOWN;
	if (lstat(path, &st) == 0)
		return PINS_FOLDER_LEFTOVER;
	return errno == ENOENT ? PINS_FOLDER_NONE : PINS_FOLDER_UNKNOWN;
}

const char *pins_folder_program(uint64_t generation, char name[static 32])
{
	(void)snprintf(name, 32, PROGRAM_PREFIX "%" PRIu64, generation);
	return name;
}

bool pins_folder_parse_program(const char *name, uint64_t *ret)
{
	unsigned long generation;

	if (strncmp(name, PROGRAM_PREFIX, strlen(PROGRAM_PREFIX)) != 0 ||
		text_to_uint(name + strlen(PROGRAM_PREFIX), UINT64_MAX, &generation) < 0)
		return false;
	*ret = generation;
	return true;
}

int pins_folder_foreach_program(const char *path,
	int (*function)(const char *name, uint64_t generation, void *userdata), void *userdata)
{
	_cleanup_(closedirp) DIR *stream = opendir(path);
	const struct dirent *entry;
	int r;

	if (!stream)
		return -errno;
	while ((entry = readdir(stream))) {
		uint64_t generation;

		if (!pins_folder_parse_program(entry->d_name, &generation))
			continue;
		r = function(entry->d_name, generation, userdata);
		if (r)
			return r;
	}
	return 0;
}

/* ---- remove */

/* Calls a function for each entry until its result is not 0. Return: that, 0, or a negative errno. */
static int foreach_entry(
	const struct pins_folder *folder, int (*function)(const char *name, void *userdata), void *userdata)
{
	_cleanup_(closedirp) DIR *stream = NULL;
	_cleanup_close_ int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int r = 0;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return -errno;
	(void)TAKE_FD(fd);
	while (!r) {
		errno = 0;
		entry = readdir(stream);
		if (!entry)
			return -errno;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = function(entry->d_name, userdata);
	}
	return r;
}

/* The names in the folder, as a list */
struct listing {
	bool has_link;
	size_t length;
	char text[256];
};

/* For foreach_entry() */
static int add_name(const char *name, void *userdata)
{
	struct listing *listing = userdata;
	const char *separator = listing->length ? ", " : "";
	size_t room = sizeof(listing->text) - listing->length;
	bool fits = strlen(separator) + strlen(name) + strlen(", ...") < room;

	listing->has_link = listing->has_link || strcmp(name, LINK) == 0;
	listing->length += (size_t)snprintf(
		listing->text + listing->length, room, "%s%s", separator, fits ? name : "...");
	return fits ? 0 : 1;
}

struct removal {
	const struct pins_folder *folder;
	struct refusal *refusal;
	size_t n; /* pins that are removed */
	bool link_is_gone;
};

#define REST_MAX (sizeof(((struct listing){}).text) + 64)

/* What is left when a removal ends here */
static const char *describe_rest(const struct removal *removal, char text[static REST_MAX])
{
	struct listing listing = {};

	if (!removal->n) {
		(void)snprintf(text, REST_MAX, "nothing has been removed");
		return text;
	}
	(void)foreach_entry(removal->folder, add_name, &listing);
	(void)snprintf(text, REST_MAX,
		listing.has_link ? "dispatch goes on, and these are left: %s"
				 : "nothing is dispatched, and these are left: %s",
		listing.text);
	return text;
}

static int refuse_entry(const struct removal *removal, int error, const char *name)
{
	const char *path = removal->folder->path;
	char rest[REST_MAX];

	(void)describe_rest(removal, rest);
	if (error == EISDIR)
		return refuse(removal->refusal, error,
			"%s/%s is a folder (EISDIR), which usher does not create; %s: remove it and detach again",
			path, name, rest);
	if (error == EBUSY)
		return refuse(removal->refusal, error,
			"%s/%s is a mount point (EBUSY); %s: unmount it and detach again", path, name, rest);
	if (error == EROFS)
		return refuse(removal->refusal, error,
			"cannot remove %s/%s (EROFS); %s: remount %s writable and detach again", path, name,
			rest, path);
	return refuse(removal->refusal, error, "cannot remove %s/%s (%s); %s: detach again%s", path, name,
		errno_name(error), rest, geteuid() ? " as root" : "");
}

/* For foreach_entry() */
static int check_entry(const char *name, void *userdata)
{
	const struct removal *removal = userdata;
	struct statx st;

	if (statx(removal->folder->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
		return errno == ENOENT ? 0 : refuse_entry(removal, errno, name);
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return refuse_entry(removal, EBUSY, name);
	return S_ISDIR(st.stx_mode) ? refuse_entry(removal, EISDIR, name) : 0;
}

static int remove_entry(const char *name, struct removal *removal)
{
	if (unlinkat(removal->folder->fd, name, 0) == 0)
		removal->n++;
	else if (errno != ENOENT)
		return refuse_entry(removal, errno, name);
	return 0;
}

/* For foreach_entry() */
static int remove_unless_link(const char *name, void *userdata)
{
	return strcmp(name, LINK) == 0 ? 0 : remove_entry(name, userdata);
}

/* The link goes last: it keeps in the kernel what it dispatches with, pinned or not. */
static int remove_pins(struct removal *removal)
{
	size_t before = SIZE_MAX;
	int r = 0;

	for (unsigned i = 0; i < PASSES_MAX && !r && removal->n != before; i++) {
		before = removal->n;
		r = foreach_entry(removal->folder, remove_unless_link, removal);
	}
	if (!r)
		r = remove_entry(LINK, removal);
	removal->link_is_gone = removal->link_is_gone || !r;
	return r;
}

static int keep_folder(const struct removal *removal, int error)
{
	const char *path = removal->folder->path;
	struct listing listing = {};

	(void)foreach_entry(removal->folder, add_name, &listing);
	if (listing.length)
		(void)refuse(removal->refusal, error,
			"the folder %s stays (ENOTEMPTY), because something was made in it meanwhile: %s",
			path, listing.text);
	else
		(void)refuse(
			removal->refusal, error, "the empty folder %s stays (%s)", path, errno_name(error));
	return PINS_FOLDER_STAYS;
}

/*
 * The kernel frees a link some time after its last pin is removed, but at once when its last descriptor is closed. With
 * this one open until the pins are gone, nothing is dispatched any more when it is closed. Return: -1 when there is none.
 */
static int hold_link(const struct pins_folder *folder)
{
	char path[PINS_FOLDER_PATH_MAX + sizeof("/" LINK)];
	union bpf_attr attr = {.pathname = (uintptr_t)path};

	(void)snprintf(path, sizeof(path), "%s/" LINK, folder->path);
	return (int)syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
}

int pins_folder_remove(const struct pins_folder *folder, struct refusal *refusal)
{
	_cleanup_close_ __attribute__((unused)) int held = hold_link(folder);
	struct removal removal = {.folder = folder, .refusal = refusal};
	char rest[REST_MAX];
	int r;

	r = foreach_entry(folder, check_entry, &removal);
	for (unsigned i = 0; i < PASSES_MAX && !r; i++) {
		r = remove_pins(&removal);
		if (r)
			break;
		if (rmdir(folder->path) == 0 || errno == ENOENT)
			return 0;
		/* the folder is a mount in a unit that may write nowhere else on bpffs: EBUSY, EROFS */
		if (errno != ENOTEMPTY)
			return keep_folder(&removal, errno);
	}
	if (removal.link_is_gone)
		return keep_folder(&removal, ENOTEMPTY);
	return r < 0 ? refuse(refusal, -r, "cannot read %s (%s); %s", folder->path, errno_name(-r),
			       describe_rest(&removal, rest))
		     : r;
}
