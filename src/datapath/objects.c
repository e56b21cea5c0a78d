/* SPDX-License-Identifier: BSD-3-Clause */
#include "objects.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>

#include "dispatch.skel.h"

static const char *const map_names[REGISTRY_MAPS] = {
	[REGISTRY_SOCKETS] = "sockets",
	[REGISTRY_FRONT] = "front",
	[REGISTRY_EARLY] = "early",
	[REGISTRY_EARLY_RULES] = "early_rules",
	[REGISTRY_SEATS] = "seats",
	[REGISTRY_PLACES] = "places",
	[REGISTRY_MEMBERS] = "members",
	[REGISTRY_GROUPS] = "groups",
	[REGISTRY_COUNTERS] = "counters",
	[REGISTRY_REFUSED_DEVICE] = "refused_device",
	[REGISTRY_YIELDED] = "yielded",
	[REGISTRY_EVENTS] = "events",
	[REGISTRY_STATE] = "state",
};

static void dispatch_destroyp(struct dispatch **program)
{
	dispatch__destroy(*program);
}

const char *objects_map_name(enum registry_map map)
{
	return map_names[map];
}

struct bpf_map *objects_find_map(const struct dispatch *program, enum registry_map map)
{
	return bpf_object__find_map_by_name(program->obj, map_names[map]);
}

int objects_make_map(enum registry_map map)
{
	_cleanup_(dispatch_destroyp) struct dispatch *program = dispatch__open();
	const struct bpf_map *wanted;
	int fd;

	if (!program)
		return -errno;
	wanted = objects_find_map(program, map);
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(wanted));
	fd = bpf_map_create(bpf_map__type(wanted), map_names[map], bpf_map__key_size(wanted),
		bpf_map__value_size(wanted), bpf_map__max_entries(wanted), &options);
	return fd < 0 ? -errno : fd;
}

static int dup_all(const struct dispatch *program, bool has_later, struct objects_program *ret)
{
	_cleanup_(objects_program_deinit) struct objects_program own = OBJECTS_PROGRAM_NULL;
	const int fds[OBJECTS_FDS] = {
		[OBJECTS_DISPATCH] = bpf_program__fd(
			has_later ? program->progs.usher_dispatch_later : program->progs.usher_dispatch),
		[OBJECTS_QUESTION] = bpf_program__fd(
			has_later ? program->progs.usher_question_later : program->progs.usher_question),
		[OBJECTS_ANSWERS] = bpf_map__fd(program->maps.answers),
		[OBJECTS_NODES] = bpf_map__fd(program->maps.nodes),
		[OBJECTS_TABLES] = bpf_map__fd(program->maps.bss),
	};

	for (int i = 0; i < OBJECTS_FDS; i++) {
		own.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (own.fds[i] < 0)
			return -EMFILE;
	}
	*ret = own;
	own = OBJECTS_PROGRAM_NULL;
	return 0;
}

/* Only the programs and maps that the rules need */
static int choose(const struct dispatch *program, bool has_later, const int *maps)
{
	struct bpf_map *const obstacles[OBJECTS_DISPATCHER_OBSTACLES] = {
		[OBSTACLE_COUNTS] = program->maps.obstacle_counts,
		[OBSTACLES] = program->maps.obstacles,
	};
	int r = bpf_program__set_autoload(program->progs.usher_dispatch, !has_later);

	if (r >= 0)
		r = bpf_program__set_autoload(program->progs.usher_question, !has_later);
	if (r >= 0)
		r = bpf_program__set_autoload(program->progs.usher_dispatch_later, has_later);
	if (r >= 0)
		r = bpf_program__set_autoload(program->progs.usher_question_later, has_later);
	for (int i = 0; i < OBJECTS_DISPATCHER_OBSTACLES && r >= 0; i++)
		r = has_later ? bpf_map__reuse_fd(obstacles[i], maps[i])
			      : bpf_map__set_autocreate(obstacles[i], false);
	return r;
}

int objects_load(const struct objects_sizes *sizes, const int *maps, struct objects_program *ret)
{
	_cleanup_(dispatch_destroyp) struct dispatch *program = dispatch__open();
	int r;

	if (!program)
		return -errno;
	program->rodata->first_node = sizes->first_node;
	r = bpf_map__set_max_entries(program->maps.nodes, sizes->first_node + sizes->n_nodes);
	for (enum registry_map map = 0; map < REGISTRY_MAPS && r >= 0; map++)
		r = bpf_map__reuse_fd(objects_find_map(program, map), maps[map]);
	if (r >= 0)
		r = choose(program, sizes->has_later, maps + REGISTRY_MAPS);
	if (r >= 0)
		r = dispatch__load(program);
	return r < 0 ? r : dup_all(program, sizes->has_later, ret);
}

int objects_attach(int program, int netns)
{
	int link = bpf_link_create(program, netns, BPF_SK_LOOKUP, NULL);

	return link < 0 ? -errno : link;
}

int objects_count_programs(int netns)
{
	uint32_t n = 0;

	/* without a buffer for identifiers the kernel only counts (kernel/bpf/net_namespace.c) */
	if (bpf_prog_query(netns, BPF_SK_LOOKUP, 0, NULL, NULL, &n) < 0)
		return -errno;
	return (int)n;
}
