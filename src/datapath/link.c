/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "loader.h"

int link_read_info(int link, struct link_info *ret)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int r = bpf_obj_get_info_by_fd(link, &info, &size);

	if (r < 0)
		return r;
	*ret = (struct link_info){.id = info.id, .program_id = info.prog_id, .netns = info.netns.netns_ino};
	return 0;
}

int link_open(const struct pins_folder *pins, int *ret)
{
	_cleanup_close_ int link = pins_get(pins, "link");
	struct link_info info;
	int r;

	if (link < 0)
		return link == -ENOENT ? LINK_NONE : link;
	r = link_read_info(link, &info);
	if (r < 0)
		return r;
	if (!info.netns)
		return LINK_NONE;
	*ret = TAKE_FD(link);
	return 0;
}

bool link_is_attached(const struct pins_folder *pins)
{
	_cleanup_close_ int link = -1;

	return link_open(pins, &link) == 0;
}

int link_replace_program(int link, int program)
{
	return bpf_link_update(link, program, NULL) < 0 ? -errno : 0;
}

static int attach(const struct pins_folder *pins, int netns, int program, int *ret, struct refusal *refusal)
{
	_cleanup_close_ int link = loader_attach(program, netns);
	int r;

	if (link == -E2BIG)
		return refuse(refusal, E2BIG,
			"the network namespace has 64 sk_lookup programs, the most that the kernel allows (E2BIG); 'bpftool net' and 'bpftool link' show them");
	if (link < 0)
		return link;
	r = pins_replace(pins, "link", link);
	if (r < 0)
		return r;
	*ret = TAKE_FD(link);
	return 0;
}

int link_switch(
	const struct pins_folder *pins, int *link, int netns, int current, int next, struct refusal *refusal)
{
	LIBBPF_OPTS(bpf_link_update_opts, options, .flags = BPF_F_REPLACE, .old_prog_fd = (uint32_t)current);
	int made = -1, r;

	if (*link >= 0 && current >= 0) {
		if (bpf_link_update(*link, next, &options) == 0)
			return 0;
		if (errno == EPERM)
			return refuse(refusal, EPERM,
				"the program on %s/link is not the one that usherd put there (EPERM); it has been replaced: stop usherd, run 'usherctl detach', start usherd again",
				pins->path);
		if (errno != ENOLINK)
			return -errno;
	}
	r = attach(pins, netns, next, &made, refusal);
	if (r)
		return r;
	closep(link);
	*link = made;
	return 0;
}
