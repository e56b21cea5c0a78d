/* SPDX-License-Identifier: BSD-3-Clause */
#include "obstacles.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "loader.h"

#define PORT_WORDS (USHER_TABLES * USHER_PORTS)

/* ---- open and close */

struct obstacles *obstacles_close(struct obstacles *obstacles)
{
	if (!obstacles)
		return NULL;
	if (obstacles->counts)
		(void)munmap(obstacles->counts, sizeof(*obstacles->counts));
	objects_obstacles_deinit(&obstacles->objects);
	free(obstacles);
	return NULL;
}

/* Return: 0; 1 if one is missing or not of this version */
static int adopt_maps(const struct pins_folder *pins, struct objects_obstacles *ret)
{
	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS; map++) {
		ret->maps[map] = pins_get(pins, objects_obstacle_map_name(map));
		if (ret->maps[map] == -EMFILE || ret->maps[map] == -ENFILE || ret->maps[map] == -ENOMEM)
			return ret->maps[map];
		if (ret->maps[map] < 0 || !objects_obstacle_map_fits(map, ret->maps[map]))
			return 1;
	}
	return 0;
}

static int map_counts(struct obstacles *obstacles)
{
	void *counts = mmap(NULL, sizeof(*obstacles->counts), PROT_READ | PROT_WRITE, MAP_SHARED,
		obstacles->objects.maps[OBSTACLE_COUNTS], 0);

	if (counts == MAP_FAILED)
		return -errno;
	obstacles->counts = counts;
	return 0;
}

static int pin_maps(const struct obstacles *obstacles)
{
	int r = 0;

	for (enum obstacle_map map = 0; map < OBSTACLE_MAPS && !r; map++)
		r = pins_replace(
			obstacles->pins, objects_obstacle_map_name(map), obstacles->objects.maps[map]);
	return r;
}

int obstacles_open(const struct pins_folder *pins, uint64_t netns_cookie, int events, struct obstacles **ret,
	struct refusal *refusal)
{
	_cleanup_(objects_obstacles_deinit) struct objects_obstacles pinned = OBJECTS_OBSTACLES_NULL;
	_cleanup_(obstacles_closep) struct obstacles *obstacles = calloc(1, sizeof(*obstacles));
	int r;

	if (!obstacles)
		return -ENOMEM;
	*obstacles = (struct obstacles){.pins = pins, .objects = OBJECTS_OBSTACLES_NULL};
	r = adopt_maps(pins, &pinned);
	if (r < 0)
		return r;
	obstacles->adopted = !r;
	if (!obstacles->adopted)
		obstacles_remove(pins);
	r = loader_load_obstacles(
		netns_cookie, events, obstacles->adopted ? pinned.maps : NULL, &obstacles->objects);
	if (r < 0)
		return loader_explain(r, refusal);
	r = map_counts(obstacles);
	if (r)
		return r;
	if (!obstacles->adopted &&
		getrandom(obstacles->counts->table.seeds, sizeof(obstacles->counts->table.seeds), 0) < 0)
		return -errno;
	r = obstacles->adopted ? 0 : pin_maps(obstacles);
	if (r) {
		obstacles_remove(pins);
		return r;
	}
	*ret = TAKE_PTR(obstacles);
	return 0;
}

/* ---- ports */

static uint8_t tracked(const struct obstacles *obstacles, size_t where)
{
	return __atomic_load_n(&obstacles->counts->tracked.ports[where], __ATOMIC_RELAXED);
}

void obstacles_track(const struct obstacles *obstacles, const struct usher_obstacle_tracked *ports, bool add)
{
	/* the programs read the table meanwhile, so entries that stay are not written */
	for (size_t i = 0; i < PORT_WORDS; i++)
		if (!tracked(obstacles, i) != !ports->ports[i] && (ports->ports[i] || !add))
			__atomic_store_n(&obstacles->counts->tracked.ports[i],
				ports->ports[i] ? USHER_TRACKED : 0, __ATOMIC_SEQ_CST);
}

bool obstacles_is_tracked(const struct obstacles *obstacles, uint32_t where)
{
	return tracked(obstacles, where);
}

static void want(const struct obstacles *obstacles, size_t where)
{
	if (tracked(obstacles, where) == USHER_TRACKED_TOLD)
		__atomic_store_n(&obstacles->counts->tracked.ports[where], USHER_TRACKED, __ATOMIC_SEQ_CST);
}

void obstacles_want(const struct obstacles *obstacles, int protocol, uint16_t port)
{
	const uint32_t udp = protocol == IPPROTO_UDP ? 1 : 0;

	if (port) {
		want(obstacles, udp << 16 | port);
		want(obstacles, (2U | udp) << 16 | port);
		return;
	}
	for (size_t i = 0; i < PORT_WORDS; i++)
		want(obstacles, i);
}

static uint64_t *cell(const struct obstacles *obstacles, uint32_t where)
{
	return (uint64_t *)&obstacles->counts->ports.cells[1 + where];
}

uint64_t obstacles_lost(const struct obstacles *obstacles, uint32_t where)
{
	return __atomic_load_n(cell(obstacles, where), __ATOMIC_SEQ_CST) >> USHER_OBSTACLE_LOST_SHIFT &
	       USHER_OBSTACLE_LOST_MASK;
}

void obstacles_lose(const struct obstacles *obstacles, uint32_t where)
{
	__atomic_fetch_add(cell(obstacles, where), 1ULL << USHER_OBSTACLE_LOST_SHIFT, __ATOMIC_SEQ_CST);
}

uint32_t obstacles_next_lost(const struct obstacles *obstacles, uint32_t where)
{
	while (where < PORT_WORDS && !obstacles_lost(obstacles, where))
		where++;
	return where;
}

void obstacles_expect_all(const struct obstacles *obstacles, uint32_t where)
{
	uint64_t lost = obstacles_lost(obstacles, where);

	if (lost > 1)
		__atomic_fetch_sub(
			cell(obstacles, where), (lost - 1) << USHER_OBSTACLE_LOST_SHIFT, __ATOMIC_SEQ_CST);
}

void obstacles_regain(const struct obstacles *obstacles, uint32_t where)
{
	__atomic_fetch_sub(cell(obstacles, where), 1ULL << USHER_OBSTACLE_LOST_SHIFT, __ATOMIC_SEQ_CST);
}

/* ---- changes */

static int order(const struct obstacles *obstacles, enum usher_obstacle_what what, uint64_t cookie,
	const struct usher_obstacle *obstacle)
{
	struct usher_obstacle_order order = {.cookie = cookie, .what = what, .result = -EINVAL};
	struct bpf_sk_lookup context = {.family = AF_INET, .protocol = IPPROTO_TCP};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context));
	const int *maps = obstacles->objects.maps;
	uint32_t zero = 0;

	if (obstacle)
		order.obstacle = *obstacle;
	if (bpf_map_update_elem(maps[OBSTACLE_ORDER], &zero, &order, BPF_ANY) < 0 ||
		bpf_prog_test_run_opts(obstacles->objects.change, &options) < 0 ||
		bpf_map_lookup_elem(maps[OBSTACLE_ORDER], &zero, &order) < 0)
		return -errno;
	return order.result;
}

int obstacles_note(const struct obstacles *obstacles, uint64_t cookie, const struct usher_obstacle *obstacle)
{
	return order(obstacles, USHER_OBSTACLE_NOTE, cookie, obstacle);
}

int obstacles_forget(const struct obstacles *obstacles, uint64_t cookie)
{
	return order(obstacles, USHER_OBSTACLE_FORGET, cookie, NULL);
}

int obstacles_amend(const struct obstacles *obstacles, uint64_t cookie, const struct usher_obstacle *obstacle)
{
	return order(obstacles, USHER_OBSTACLE_AMEND, cookie, obstacle);
}

/* ---- records */

static int compare_records(const void *a, const void *b)
{
	const struct obstacles_record *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

/* Batches do not begin anew when a key has gone meanwhile, as going from key to key does. */
#define BATCH 1024U

int obstacles_read(const struct obstacles *obstacles, struct obstacles_record **ret, size_t *ret_n)
{
	_cleanup_free_ struct obstacles_record *records = NULL;
	_cleanup_free_ struct usher_obstacle *values = calloc(USHER_OBSTACLES_MAX, sizeof(*values));
	_cleanup_free_ uint64_t *keys = calloc(USHER_OBSTACLES_MAX, sizeof(*keys));
	const int map = obstacles->objects.maps[OBSTACLES];
	uint32_t position, size = BATCH;
	bool first = true, end = false;
	size_t n = 0, kept = 0;

	if (!values || !keys)
		return -ENOMEM;
	while (!end) {
		uint32_t count = size;

		if (bpf_map_lookup_batch(
			    map, first ? NULL : &position, &position, keys, values, &count, NULL) < 0) {
			if (errno == ENOSPC && size < USHER_OBSTACLES_MAX) {
				size = USHER_OBSTACLES_MAX; /* more in one bucket than that */
				continue;
			}
			if (errno != ENOENT)
				return -errno;
			end = true;
		}
		first = false;
		for (uint32_t i = 0; i < count; i++) {
			if (ARRAY_RESERVE(records, n) < 0)
				return -ENOMEM;
			records[n++] = (struct obstacles_record){keys[i], values[i]};
		}
	}
	if (n)
		qsort(records, n, sizeof(*records), compare_records);
	for (size_t i = 0; i < n; i++)
		if (!kept || records[kept - 1].cookie != records[i].cookie)
			records[kept++] = records[i];
	*ret = TAKE_PTR(records);
	*ret_n = kept;
	return 0;
}

size_t obstacles_count(const struct obstacles *obstacles)
{
	_cleanup_free_ struct obstacles_record *records = NULL;
	size_t n = 0;

	return obstacles_read(obstacles, &records, &n) < 0 ? 0 : n;
}
