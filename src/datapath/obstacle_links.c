/* SPDX-License-Identifier: BSD-3-Clause */

/* The pinned links of what counts obstacles */

#include <bpf/bpf.h>
#include <errno.h>

#include "../util/errno_name.h"
#include "cgroup_root.h"
#include "link.h"
#include "loader.h"
#include "obstacles.h"

static bool is_only_for_udp(enum obstacle_hook hook)
{
	return hook != OBSTACLE_SOCKOPS && hook != OBSTACLE_RELEASE;
}

void obstacles_remove(const struct pins_folder *pins)
{
	for (int i = OBSTACLE_HOOKS; i-- > 0;)
		(void)pins_drop(pins, objects_hook_name((enum obstacle_hook)i));
	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS; map++)
		(void)pins_drop(pins, objects_obstacle_map_name(map));
}

bool obstacles_are_pinned(const struct pins_folder *pins)
{
	for (enum obstacle_hook hook = 0; hook < OBSTACLE_HOOKS; hook++) {
		_cleanup_close_ int fd = pins_get(pins, objects_hook_name(hook));

		if (fd >= 0)
			return true;
	}
	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS; map++) {
		_cleanup_close_ int fd = pins_get(pins, objects_obstacle_map_name(map));

		if (fd >= 0)
			return true;
	}
	return false;
}

/* Return: 0 if the program is now on the link that is pinned; 1 if there is none, or none that is attached */
static int update_link(const struct obstacles *obstacles, enum obstacle_hook hook)
{
	_cleanup_close_ int link = pins_get(obstacles->pins, objects_hook_name(hook));

	return link >= 0 && link_replace_program(link, obstacles->objects.hooks[hook]) == 0 ? 0 : 1;
}

static int attach(
	const struct obstacles *obstacles, enum obstacle_hook hook, int cgroup, struct refusal *refusal)
{
	_cleanup_close_ int link = loader_attach_hook(obstacles->objects.hooks[hook], cgroup, hook);

	if (link == -EPERM)
		return refuse(refusal, EPERM,
			"cannot attach the program %s to the root of cgroup v2, which Order=before-wildcard and Order=last need (EPERM): a program there does not allow others; 'bpftool cgroup tree' shows it",
			objects_hook_name(hook));
	if (link < 0)
		return refuse(refusal, -link,
			"cannot attach the program %s to the root of cgroup v2, which Order=before-wildcard and Order=last need (%s); the kernel needs CONFIG_CGROUP_BPF, and accepts at most 64 programs of a type",
			objects_hook_name(hook), errno_name(-link));
	return pins_replace(obstacles->pins, objects_hook_name(hook), link);
}

int obstacles_attach(const struct obstacles *obstacles, bool udp, struct refusal *refusal)
{
	_cleanup_close_ int cgroup = -1;
	int r = cgroup_root_open(&cgroup, refusal);

	for (enum obstacle_hook hook = 0; hook < OBSTACLE_HOOKS && !r; hook++)
		if ((udp || !is_only_for_udp(hook)) && update_link(obstacles, hook))
			r = attach(obstacles, hook, cgroup, refusal);
	return r;
}

void obstacles_detach_udp(const struct obstacles *obstacles)
{
	for (int i = OBSTACLE_HOOKS; i-- > 0;)
		if (is_only_for_udp((enum obstacle_hook)i))
			(void)pins_drop(obstacles->pins, objects_hook_name((enum obstacle_hook)i));
}
