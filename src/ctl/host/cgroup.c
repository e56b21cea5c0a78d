/* SPDX-License-Identifier: BSD-3-Clause */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../util/array.h"
#include "../../util/cleanup.h"

/* ---- folders */

#define DEPTH_MAX 32

static int find_mount(char ret[static PATH_MAX])
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX];
	struct statfs st;

	while (mounts && fgets(line, sizeof(line), mounts))
		/* another mount may lie over it */
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", ret) == 1 &&
			statfs(ret, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
			return 0;
	return CGROUP_UNKNOWN;
}

/* nftw(3) passes nothing on */
static struct {
	uint64_t id;
	char *found;
} search;

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type != FTW_D || st->st_ino != search.id)
		return 0;
	(void)snprintf(search.found, PATH_MAX, "%s", path);
	return 1;
}

int cgroup_find(uint64_t id, char ret[static PATH_MAX], const char **ret_path)
{
	char mount[PATH_MAX];

	if (!id || find_mount(mount))
		return CGROUP_UNKNOWN;
	search.id = id;
	search.found = ret;
	if (nftw(mount, visit, DEPTH_MAX, FTW_PHYS | FTW_MOUNT) <= 0)
		return CGROUP_UNKNOWN;
	*ret_path = ret + strlen(mount);
	*ret_path += **ret_path == '/';
	return 0;
}

/* ---- units */

static int is_unit(const char *name, size_t size)
{
	static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap", ".slice"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		size_t length = strlen(kinds[i]);

		if (size > length && !memcmp(name + size - length, kinds[i], length))
			return 1;
	}
	return 0;
}

const char *cgroup_unit(const char *path, char unit[static NAME_MAX + 1])
{
	*unit = '\0';
	while (*path) {
		size_t size = strcspn(path, "/");

		if (size > NAME_MAX || !is_unit(path, size))
			break;
		(void)snprintf(unit, NAME_MAX + 1, "%.*s", (int)size, path);
		if (!strstr(unit, ".slice"))
			break;
		path += size;
		path += *path == '/';
	}
	return unit;
}

/* ---- programs */

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static void read_name(struct cgroup_program *program)
{
	union bpf_attr attr = {.prog_id = program->id};
	_cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	struct bpf_prog_info info = {};

	if (fd < 0)
		return;
	attr = (union bpf_attr){.info = {.bpf_fd = (uint32_t)fd,
					.info_len = sizeof(info),
					.info = (uint64_t)(uintptr_t)&info}};
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0)
		(void)snprintf(program->name, sizeof(program->name), "%.15s", info.name);
}

/* Of one direction; with those of the parents if @effective. Return: 0 or CGROUP_UNKNOWN. */
static int query(const char *folder, uint32_t type, bool effective, uint32_t ids[static CGROUP_PROGRAMS_MAX],
	size_t *ret_n)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	union bpf_attr attr = {.query = {.target_fd = (uint32_t)fd,
				       .attach_type = type,
				       .query_flags = effective ? BPF_F_QUERY_EFFECTIVE : 0,
				       .prog_ids = (uint64_t)(uintptr_t)ids,
				       .prog_cnt = CGROUP_PROGRAMS_MAX}};

	if (fd < 0 || bpf(BPF_PROG_QUERY, &attr) < 0)
		return CGROUP_UNKNOWN;
	*ret_n = attr.query.prog_cnt < CGROUP_PROGRAMS_MAX ? attr.query.prog_cnt : CGROUP_PROGRAMS_MAX;
	return 0;
}

int cgroup_programs(const char *folder, struct cgroup_program ret[static CGROUP_PROGRAMS_MAX], size_t *ret_n)
{
	uint32_t ids[CGROUP_PROGRAMS_MAX];
	int r = query(folder, BPF_CGROUP_INET_INGRESS, true, ids, ret_n);

	for (size_t i = 0; !r && i < *ret_n; i++) {
		ret[i] = (struct cgroup_program){.id = ids[i]};
		read_name(&ret[i]);
	}
	return r;
}

/* ---- all programs */

static struct {
	uint32_t *items; /* those that were found attached to a group */
	size_t n;
	bool slice, failed;
} attached;

static int note_attached(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	uint32_t ids[CGROUP_PROGRAMS_MAX] = {};
	size_t n;

	(void)st;
	for (uint32_t direction = BPF_CGROUP_INET_INGRESS;
		type == FTW_D && direction <= BPF_CGROUP_INET_EGRESS; direction++) {
		if (query(path, direction, false, ids, &n))
			continue;
		attached.slice = attached.slice || (n && (ftw->level == 0 || strstr(name, ".slice")));
		for (size_t i = 0; i < n; i++) {
			if (ARRAY_RESERVE(attached.items, attached.n) < 0) {
				attached.failed = true;
				return 1;
			}
			attached.items[attached.n++] = ids[i];
		}
	}
	return 0;
}

static bool is_attached(uint32_t id)
{
	for (size_t i = 0; i < attached.n; i++)
		if (attached.items[i] == id)
			return true;
	return false;
}

static bool is_for_groups(uint32_t id)
{
	union bpf_attr attr = {.prog_id = id};
	_cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	struct bpf_prog_info info = {};

	attr = (union bpf_attr){.info = {.bpf_fd = (uint32_t)fd,
					.info_len = sizeof(info),
					.info = (uint64_t)(uintptr_t)&info}};
	return fd >= 0 && bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && info.type == BPF_PROG_TYPE_CGROUP_SKB;
}

int cgroup_programs_elsewhere(bool *ret)
{
	union bpf_attr attr = {};
	char mount[PATH_MAX];
	int r;

	if (find_mount(mount))
		return CGROUP_UNKNOWN;
	attached.n = 0;
	attached.slice = attached.failed = false;
	(void)nftw(mount, note_attached, DEPTH_MAX, FTW_PHYS | FTW_MOUNT);
	*ret = attached.slice;
	while ((r = bpf(BPF_PROG_GET_NEXT_ID, &attr)) == 0 && !*ret) {
		*ret = is_for_groups(attr.next_id) && !is_attached(attr.next_id);
		attr.start_id = attr.next_id;
	}
	/* ENOENT: there are no more */
	if ((r < 0 && errno != ENOENT) || attached.failed)
		r = CGROUP_UNKNOWN;
	else
		r = 0;
	free(attached.items);
	attached.items = NULL;
	return r;
}
