/* SPDX-License-Identifier: BSD-3-Clause */

/* Loading and attaching what counts obstacles */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>

#include "objects.h"
#include "obstacle_hooks.skel.h"

static const char *const map_names[OBSTACLE_MAPS] = {
	[OBSTACLE_COUNTS] = "obstacle_counts",
	[OBSTACLES] = "obstacles",
	[OBSTACLE_LOCK] = "obstacle_lock",
	[OBSTACLE_ORDER] = "obstacle_order",
};

static const char *const hook_names[OBSTACLE_HOOKS] = {
	[OBSTACLE_RELEASE] = "hook_release",
	[OBSTACLE_CONNECT4] = "hook_connect4",
	[OBSTACLE_CONNECT6] = "hook_connect6",
	[OBSTACLE_SOCKOPS] = "hook_sockops",
	[OBSTACLE_BIND4] = "hook_bind4",
	[OBSTACLE_BIND6] = "hook_bind6",
};

static const enum bpf_attach_type attach_types[OBSTACLE_HOOKS] = {
	[OBSTACLE_RELEASE] = BPF_CGROUP_INET_SOCK_RELEASE,
	[OBSTACLE_CONNECT4] = BPF_CGROUP_INET4_CONNECT,
	[OBSTACLE_CONNECT6] = BPF_CGROUP_INET6_CONNECT,
	[OBSTACLE_SOCKOPS] = BPF_CGROUP_SOCK_OPS,
	[OBSTACLE_BIND4] = BPF_CGROUP_INET4_POST_BIND,
	[OBSTACLE_BIND6] = BPF_CGROUP_INET6_POST_BIND,
};

static void obstacle_hooks_destroyp(struct obstacle_hooks **programs)
{
	obstacle_hooks__destroy(*programs);
}

void objects_obstacles_deinit(struct objects_obstacles *obstacles)
{
	for (int i = 0; i < OBSTACLE_MAPS; i++)
		closep(&obstacles->maps[i]);
	for (int i = 0; i < OBSTACLE_HOOKS; i++)
		closep(&obstacles->hooks[i]);
	closep(&obstacles->change);
	*obstacles = OBJECTS_OBSTACLES_NULL;
}

const char *objects_obstacle_map_name(enum obstacle_map map)
{
	return map_names[map];
}

const char *objects_hook_name(enum obstacle_hook hook)
{
	return hook_names[hook];
}

static struct bpf_map *find_map(const struct obstacle_hooks *programs, enum obstacle_map map)
{
	struct bpf_map *const maps[OBSTACLE_MAPS] = {
		[OBSTACLE_COUNTS] = programs->maps.obstacle_counts,
		[OBSTACLES] = programs->maps.obstacles,
		[OBSTACLE_LOCK] = programs->maps.obstacle_lock,
		[OBSTACLE_ORDER] = programs->maps.obstacle_order,
	};

	return maps[map];
}

bool objects_obstacle_map_fits(enum obstacle_map map, int fd)
{
	_cleanup_(obstacle_hooks_destroyp) struct obstacle_hooks *programs = obstacle_hooks__open();
	const struct bpf_map *wanted = programs ? find_map(programs, map) : NULL;
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return wanted && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
	       info.type == bpf_map__type(wanted) && info.key_size == bpf_map__key_size(wanted) &&
	       info.value_size == bpf_map__value_size(wanted) &&
	       info.max_entries == bpf_map__max_entries(wanted) &&
	       info.map_flags == bpf_map__map_flags(wanted);
}

static int dup_one(int fd, int *ret)
{
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? -EMFILE : 0;
}

static int dup_all(const struct obstacle_hooks *programs, struct objects_obstacles *ret)
{
	_cleanup_(objects_obstacles_deinit) struct objects_obstacles own = OBJECTS_OBSTACLES_NULL;
	const struct bpf_program *const hooks[OBSTACLE_HOOKS] = {
		[OBSTACLE_RELEASE] = programs->progs.hook_release,
		[OBSTACLE_CONNECT4] = programs->progs.hook_connect4,
		[OBSTACLE_CONNECT6] = programs->progs.hook_connect6,
		[OBSTACLE_SOCKOPS] = programs->progs.hook_sockops,
		[OBSTACLE_BIND4] = programs->progs.hook_bind4,
		[OBSTACLE_BIND6] = programs->progs.hook_bind6,
	};
	int r = dup_one(bpf_program__fd(programs->progs.change), &own.change);

	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS && !r; map++)
		r = dup_one(bpf_map__fd(find_map(programs, map)), &own.maps[map]);
	for (int i = 0; i < OBSTACLE_HOOKS && !r; i++)
		r = dup_one(bpf_program__fd(hooks[i]), &own.hooks[i]);
	if (r)
		return r;
	*ret = own;
	own = OBJECTS_OBSTACLES_NULL;
	return 0;
}

int objects_load_obstacles(uint64_t netns_cookie, int events, const int *maps, struct objects_obstacles *ret)
{
	_cleanup_(obstacle_hooks_destroyp) struct obstacle_hooks *programs = obstacle_hooks__open();
	int r;

	if (!programs)
		return -errno;
	programs->rodata->netns_cookie = netns_cookie;
	r = bpf_map__reuse_fd(programs->maps.events, events);
	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS && maps && r >= 0; map++)
		r = bpf_map__reuse_fd(find_map(programs, map), maps[map]);
	if (r >= 0)
		r = obstacle_hooks__load(programs);
	return r < 0 ? r : dup_all(programs, ret);
}

int objects_attach_hook(int program, int cgroup, enum obstacle_hook hook)
{
	int link = bpf_link_create(program, cgroup, attach_types[hook], NULL);

	return link < 0 ? -errno : link;
}
