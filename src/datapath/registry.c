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

uint32_t registry_take_seat(struct registry *registry, const char *name, int protocol, int family)
{
	for (uint32_t i = 1; i < USHER_SEATS_MAX; i++) {
		struct usher_seat *seat = &registry->seats[i];

		if (seat->used)
			continue;
		memset(registry->cpus, 0, registry->n_cpus * sizeof(*registry->cpus));
		if (bpf_map_update_elem(registry->maps[REGISTRY_COUNTERS], &i, registry->cpus, BPF_ANY) < 0)
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

static void add_cpus(
	const struct registry *registry, const struct usher_counters *cpus, struct usher_counters *sum)
{
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

int registry_read_counters(const struct registry *registry, uint32_t seat, struct usher_counters *ret)
{
	struct usher_counters sum = {0};

	if (bpf_map_lookup_elem(registry->maps[REGISTRY_COUNTERS], &seat, registry->cpus) < 0)
		return -errno;
	add_cpus(registry, registry->cpus, &sum);
	*ret = sum;
	return 0;
}

uint32_t registry_next_seat(const struct registry *registry, uint32_t seat)
{
	do
		seat++;
	while (seat < USHER_SEATS_MAX && !registry->seats[seat].used);
	return seat < USHER_SEATS_MAX ? seat : 0;
}

int registry_sum_counters(const struct registry *registry, struct usher_counters *ret)
{
	struct usher_counters sum = {0};
	uint32_t seats[REGISTRY_BATCH], first = 0;

	while ((first = registry_next_seat(registry, first))) {
		/* a batch of an array begins after the key it is given (generic_map_lookup_batch()) */
		uint32_t before = first - 1, last, n = REGISTRY_BATCH;

		if (bpf_map_lookup_batch(registry->maps[REGISTRY_COUNTERS], &before, &last, seats,
			    registry->cpus, &n, NULL) < 0 &&
			errno != ENOENT)
			return -errno;
		for (uint32_t i = 0; i < n; i++)
			if (registry->seats[seats[i]].used)
				add_cpus(registry, &registry->cpus[(size_t)i * registry->n_cpus], &sum);
		first += REGISTRY_BATCH - 1;
	}
	*ret = sum;
	return 0;
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
