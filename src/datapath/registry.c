/* SPDX-License-Identifier: BSD-3-Clause */
#include "registry.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/errno_name.h"
#include "../util/transport.h"

static int compare_seat(const struct usher_seat *seat, const char *name, int protocol, int family)
{
	int r = strcmp(seat->name, name);

	if (!r)
		r = (int)seat->protocol - protocol;
	return r ? r : (int)seat->family - family;
}

static int compare_numbers(const void *a, const void *b, void *userdata)
{
	const struct usher_seat *seats = userdata, *other = &seats[*(const uint32_t *)b];

	return compare_seat(&seats[*(const uint32_t *)a], other->name, other->protocol, other->family);
}

int registry_sort_seats(const struct registry *registry, const char *name, uint32_t **ret, size_t *ret_n)
{
	uint32_t *numbers = calloc(USHER_SEATS_MAX, sizeof(*numbers));
	size_t n = 0;

	if (!numbers)
		return -ENOMEM;
	registry_foreach_seat (registry, seat)
		if (!name || !strcmp(registry->seats[seat].name, name))
			numbers[n++] = seat;
	qsort_r(numbers, n, sizeof(*numbers), compare_numbers, registry->seats);
	*ret = numbers;
	*ret_n = n;
	return 0;
}

struct wanted {
	const struct registry *registry;
	const char *name;
	int protocol, family;
};

static int compare_wanted_seat(const void *key, const void *number)
{
	const struct wanted *wanted = key;

	return -compare_seat(&wanted->registry->seats[*(const uint32_t *)number], wanted->name,
		wanted->protocol, wanted->family);
}

uint32_t registry_search_seat(const struct registry *registry, const uint32_t *sorted, size_t n,
	const char *name, int protocol, int family)
{
	const struct wanted wanted = {registry, name, protocol, family};
	const uint32_t *seat = bsearch(&wanted, sorted, n, sizeof(*sorted), compare_wanted_seat);

	return seat ? *seat : 0;
}

static int clear_counters(const struct registry *registry, uint32_t seat)
{
	memset(registry->cpus, 0, registry->n_cpus * sizeof(*registry->cpus));
	if (bpf_map_update_elem(registry->maps[REGISTRY_COUNTERS], &seat, registry->cpus, BPF_ANY) < 0 ||
		bpf_map_update_elem(registry->maps[REGISTRY_REFUSED_DEVICE], &seat, registry->cpus, BPF_ANY) <
			0 ||
		bpf_map_update_elem(registry->maps[REGISTRY_YIELDED], &seat, registry->cpus, BPF_ANY) < 0)
		return -errno;
	return 0;
}

uint32_t registry_take_seat(struct registry *registry, const char *name, int protocol, int family)
{
	for (uint32_t i = 1; i < USHER_SEATS_MAX; i++) {
		struct usher_seat *seat = &registry->seats[i];

		if (seat->used)
			continue;
		if (clear_counters(registry, i) < 0)
			return 0;
		memset(seat, 0, sizeof(*seat));
		seat->protocol = (uint8_t)protocol;
		seat->family = (uint8_t)family;
		strncpy(seat->name, name, sizeof(seat->name) - 1);
		seat->used = 1;
		return i;
	}
	return 0;
}

void registry_free_seat(struct registry *registry, uint32_t seat)
{
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
	registry_clear_early(registry, seat);
	census_note(registry->census, seat, registry->seats[seat].name, NULL, 0);
	memset(&registry->seats[seat], 0, sizeof(registry->seats[seat]));
}

/* ---- counters, of which the kernel gives a value of each CPU */

static void add_counters(const struct registry *registry, const void *values, void *ret)
{
	const struct usher_counters *cpus = values;
	struct usher_counters *sum = ret;

	for (unsigned i = 0; i < registry->n_cpus; i++) {
		sum->lookups += cpus[i].lookups;
		sum->missing += cpus[i].missing;
		sum->refused_family += cpus[i].refused_family;
		sum->refused_protocol += cpus[i].refused_protocol;
		sum->refused_state += cpus[i].refused_state;
		sum->refused_exists += cpus[i].refused_exists;
		sum->refused_other += cpus[i].refused_other;
		sum->events_lost += cpus[i].events_lost;
	}
}

static void add_numbers(const struct registry *registry, const void *values, void *ret)
{
	const uint64_t *cpus = values;
	uint64_t *sum = ret;

	for (unsigned i = 0; i < registry->n_cpus; i++)
		*sum += cpus[i];
}

struct counted {
	enum registry_map map;
	size_t size; /* of a value */
	void (*add)(const struct registry *registry, const void *values, void *sum);
};

static const struct counted counted_counters = {REGISTRY_COUNTERS, sizeof(struct usher_counters),
				    add_counters},
			    counted_refused_device = {REGISTRY_REFUSED_DEVICE, sizeof(uint64_t), add_numbers},
			    counted_yielded = {REGISTRY_YIELDED, sizeof(uint64_t), add_numbers};

static int read_one(const struct registry *registry, const struct counted *counted, uint32_t seat, void *sum)
{
	if (bpf_map_lookup_elem(registry->maps[counted->map], &seat, registry->cpus) < 0)
		return -errno;
	counted->add(registry, registry->cpus, sum);
	return 0;
}

static int read_all(const struct registry *registry, const struct counted *counted, void *sum)
{
	const char *values = (const char *)registry->cpus;
	uint32_t seats[REGISTRY_BATCH], first = 0;

	while ((first = registry_next_seat(registry, first))) {
		/* a batch of an array begins after the key it is given (generic_map_lookup_batch()) */
		uint32_t before = first - 1, last, n = REGISTRY_BATCH;

		if (bpf_map_lookup_batch(registry->maps[counted->map], &before, &last, seats, registry->cpus,
			    &n, NULL) < 0 &&
			errno != ENOENT)
			return -errno;
		for (uint32_t i = 0; i < n; i++)
			if (registry->seats[seats[i]].used)
				counted->add(
					registry, &values[(size_t)i * registry->n_cpus * counted->size], sum);
		first += REGISTRY_BATCH - 1;
	}
	return 0;
}

int registry_read_counters(const struct registry *registry, uint32_t seat, struct usher_counters *ret)
{
	*ret = (struct usher_counters){0};
	return read_one(registry, &counted_counters, seat, ret);
}

int registry_read_refused_device(const struct registry *registry, uint32_t seat, uint64_t *ret)
{
	*ret = 0;
	return read_one(registry, &counted_refused_device, seat, ret);
}

int registry_sum_counters(const struct registry *registry, struct usher_counters *ret)
{
	*ret = (struct usher_counters){0};
	return read_all(registry, &counted_counters, ret);
}

int registry_sum_refused_device(const struct registry *registry, uint64_t *ret)
{
	*ret = 0;
	return read_all(registry, &counted_refused_device, ret);
}

int registry_read_yielded(const struct registry *registry, uint32_t seat, uint64_t *ret)
{
	*ret = 0;
	return read_one(registry, &counted_yielded, seat, ret);
}

int registry_sum_yielded(const struct registry *registry, uint64_t *ret)
{
	*ret = 0;
	return read_all(registry, &counted_yielded, ret);
}

uint32_t registry_next_seat(const struct registry *registry, uint32_t seat)
{
	do
		seat++;
	while (seat < USHER_SEATS_MAX && !registry->seats[seat].used);
	return seat < USHER_SEATS_MAX ? seat : 0;
}

int registry_read_state(const struct registry *registry, struct usher_state *ret)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(registry->maps[REGISTRY_STATE], &zero, ret) < 0 ? -errno : 0;
}

int registry_write_state(const struct registry *registry, const struct usher_state *state)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(registry->maps[REGISTRY_STATE], &zero, state, BPF_ANY) < 0 ? -errno : 0;
}
