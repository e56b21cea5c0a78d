/* SPDX-License-Identifier: BSD-3-Clause */

/* Opening the registry: pins are checked, and adopted or created again. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../bpf/usher-obstacles.h"
#include "../util/errno_name.h"
#include "dispatch.skel.h"
#include "link.h"
#include "loader.h"
#include "registry.h"

/* Maps that only make sense together: a seat number or a slot means the same in all of them. */
static bool is_coherent(enum registry_map map)
{
	return map == REGISTRY_SOCKETS || map == REGISTRY_SEATS || map == REGISTRY_PLACES;
}

/*
 * Maps that need those, but which those do not need: a socket that is not in `front` is found in `sockets`, a little
 * slower, the members of groups are found there too (registry_repair()), and a listener that is not in `early` waits for
 * its hand-in.
 */
static bool is_dependent(enum registry_map map)
{
	return map == REGISTRY_FRONT || map == REGISTRY_MEMBERS || map == REGISTRY_GROUPS ||
	       map == REGISTRY_EARLY || map == REGISTRY_EARLY_RULES;
}

static void dispatch_destroyp(struct dispatch **program)
{
	dispatch__destroy(*program);
}

static size_t seats_size(void)
{
	return USHER_SEATS_MAX * sizeof(struct usher_seat);
}

static bool same_layout(int fd, const struct bpf_map *wanted)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == bpf_map__type(wanted) &&
	       info.key_size == bpf_map__key_size(wanted) && info.value_size == bpf_map__value_size(wanted) &&
	       info.max_entries == bpf_map__max_entries(wanted) &&
	       info.map_flags == bpf_map__map_flags(wanted);
}

static int refuse_schema(struct refusal *refusal, const struct pins_folder *pins, const char *what)
{
	return refuse(refusal, EUCLEAN,
		"%s was pinned by another version of usher: %s (EUCLEAN); go back to that version, or remove its pins with 'usherctl detach', which ends dispatch until services hand in again",
		pins->path, what);
}

static int adopt_map(const struct pins_folder *pins, const struct dispatch *program, enum registry_map map,
	int *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = pins_get(pins, objects_map_name(map));

	if (fd == -ENOENT)
		return 0;
	if (fd == -EROFS)
		return refuse(refusal, EROFS,
			"%s is read-only (EROFS); let the unit write there: ReadWritePaths=%s", pins->path,
			pins->path);
	if (fd < 0)
		return refuse(refusal, -fd, "cannot open the pin %s/%s (%s); remove it if it is not usherd's",
			pins->path, objects_map_name(map), errno_name(-fd));
	if (!same_layout(fd, objects_find_map(program, map)))
		return refuse_schema(refusal, pins, objects_map_name(map));
	*ret = TAKE_FD(fd);
	return 0;
}

static int make_map(const struct pins_folder *pins, enum registry_map map, int *ret)
{
	_cleanup_close_ int fd = loader_make_map(map);
	int r;

	if (fd < 0)
		return fd;
	r = pins_replace(pins, objects_map_name(map), fd);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Adopts the map `state` and checks whether the pins are ours at all. `*ret` stays -1 when they must be removed. */
static int adopt_state(struct pins_folder *pins, const struct dispatch *program, uint64_t netns_cookie,
	int *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = -1;
	struct usher_state state;
	uint32_t zero = 0;
	char what[64];
	int r;

	r = adopt_map(pins, program, REGISTRY_STATE, &fd, refusal);
	if (r || fd < 0)
		return r;
	if (bpf_map_lookup_elem(fd, &zero, &state) < 0)
		return -errno;
	if (!state.magic)
		return 0; /* the broker that made it died before it wrote anything */
	if (state.magic != USHER_STATE_MAGIC)
		return refuse_schema(refusal, pins, "the map 'state' is not usher's");
	if (state.schema != USHER_SCHEMA) {
		(void)snprintf(what, sizeof(what), "schema %u instead of %u", state.schema, USHER_SCHEMA);
		return refuse_schema(refusal, pins, what);
	}
	if (state.netns_cookie != netns_cookie) {
		if (link_is_attached(pins))
			return refuse(refusal, EXDEV,
				"%s serves another network namespace (EXDEV); give this usherd a name of its own with --instance, or end the other one with 'usherctl detach'",
				pins->path);
		return 0; /* that namespace is gone */
	}
	*ret = TAKE_FD(fd);
	return 0;
}

struct leftovers {
	struct pins_folder *pins;
	struct refusal *refusal;
};

static int drop_leftover(const struct leftovers *leftovers, const char *name)
{
	int r = pins_drop(leftovers->pins, name);

	return r < 0 ? refuse(leftovers->refusal, -r,
			       "cannot remove the pin %s/%s (%s); remove it if it is not usherd's",
			       leftovers->pins->path, name, errno_name(-r))
		     : 0;
}

static int drop_program(const char *name, uint64_t generation, void *userdata)
{
	(void)generation;
	return drop_leftover(userdata, name);
}

/* Drops the pins of a namespace that is gone, or of a broker that died before it had made all of them. */
static int drop_leftovers(struct pins_folder *pins, struct refusal *refusal)
{
	struct leftovers leftovers = {.pins = pins, .refusal = refusal};
	int r = drop_leftover(&leftovers, "link");

	for (enum registry_map map = 0; map < REGISTRY_MAPS && !r; map++)
		r = drop_leftover(&leftovers, objects_map_name(map));
	return r ? r : pins_folder_foreach_program(pins->path, drop_program, &leftovers);
}

static int map_seats(struct registry *registry)
{
	void *seats = mmap(
		NULL, seats_size(), PROT_READ | PROT_WRITE, MAP_SHARED, registry->maps[REGISTRY_SEATS], 0);
	int cpus = libbpf_num_possible_cpus();

	if (seats == MAP_FAILED)
		return -errno;
	registry->seats = seats;
	if (cpus < 0)
		return cpus;
	registry->n_cpus = (unsigned)cpus;
	registry->cpus = calloc((size_t)registry->n_cpus * REGISTRY_BATCH, sizeof(*registry->cpus));
	registry->census = census_new();
	return registry->cpus && registry->census ? 0 : -ENOMEM;
}

int registry_open(
	struct pins_folder *pins, uint64_t netns_cookie, struct registry *ret, struct refusal *refusal)
{
	_cleanup_(dispatch_destroyp) struct dispatch *program = dispatch__open();
	_cleanup_(registry_close) struct registry registry = REGISTRY_NULL;
	bool whole = true, adopted;
	int r;

	if (!program)
		return -errno;
	r = adopt_state(pins, program, netns_cookie, &registry.maps[REGISTRY_STATE], refusal);
	if (r)
		return r;
	adopted = registry.maps[REGISTRY_STATE] >= 0;
	if (!adopted) {
		registry.lost = link_is_attached(pins);
		r = drop_leftovers(pins, refusal);
		if (r)
			return r;
	}
	for (enum registry_map map = 0; map < REGISTRY_STATE && adopted; map++) {
		r = adopt_map(pins, program, map, &registry.maps[map], refusal);
		if (r)
			return r;
		if (is_coherent(map))
			whole = whole && registry.maps[map] >= 0;
	}
	registry.lost = registry.lost || !whole;
	for (enum registry_map map = 0; map < REGISTRY_MAPS; map++) {
		if (registry.maps[map] >= 0 && (whole || !(is_coherent(map) || is_dependent(map))))
			continue;
		closep(&registry.maps[map]);
		registry.maps[map] = -1;
		r = make_map(pins, map, &registry.maps[map]);
		if (r < 0)
			return r;
	}
	r = map_seats(&registry);
	if (r < 0)
		return r;
	if (adopted && whole) {
		r = registry_repair(&registry);
		if (r < 0)
			return r;
	} else if (!adopted) {
		struct usher_state state = {
			.magic = USHER_STATE_MAGIC,
			.schema = USHER_SCHEMA,
			.netns_cookie = netns_cookie,
		};

		r = registry_write_state(&registry, &state);
		if (r < 0)
			return r;
	}
	*ret = registry;
	registry = REGISTRY_NULL;
	return 0;
}

void registry_close(struct registry *registry)
{
	for (enum registry_map map = 0; map < REGISTRY_MAPS; map++)
		closep(&registry->maps[map]);
	if (registry->seats)
		(void)munmap(registry->seats, seats_size());
	free(registry->cpus);
	census_free(registry->census);
	*registry = REGISTRY_NULL;
}
