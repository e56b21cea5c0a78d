/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The maps of the registry, read back by a broker that starts
 *
 * The maps are in this process (below). The input fills them: two bytes say where a seat is, the seat follows; then come
 * places and sockets; then what happens to the seats. Whatever was in the maps, what the broker goes on with is as a
 * broker writes it, and the counts are right.
 */

#undef NDEBUG
#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/group.h"
#include "datapath/order.h"
#include "datapath/registry.h"
#include "util/name.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEATS_MAX 8U /* that are filled */
#define ENTRIES_MAX 128U
#define STEPS_MAX 24U

/* ---- maps, by the number of their descriptor */

struct entry {
	uint8_t key[sizeof(struct usher_early_key)];
	uint8_t value[sizeof(struct usher_members)];
};

static const struct {
	size_t key, value;
} sizes[REGISTRY_MAPS] = {
	[REGISTRY_SOCKETS] = {sizeof(struct usher_place_key), sizeof(uint64_t)},
	[REGISTRY_FRONT] = {sizeof(uint32_t), sizeof(uint64_t)},
	[REGISTRY_EARLY] = {sizeof(uint32_t), sizeof(uint64_t)},
	[REGISTRY_EARLY_RULES] = {sizeof(struct usher_early_key), sizeof(struct usher_early_rule)},
	[REGISTRY_PLACES] = {sizeof(struct usher_place_key), sizeof(struct usher_place)},
	[REGISTRY_MEMBERS] = {sizeof(uint32_t), sizeof(struct usher_members)},
	[REGISTRY_GROUPS] = {sizeof(struct usher_place_key), sizeof(struct usher_group)},
};

static struct map {
	struct entry entries[ENTRIES_MAX];
	size_t n;
} maps[REGISTRY_MAPS];

static struct entry *find(int fd, const void *key)
{
	assert(fd >= 0 && fd < REGISTRY_MAPS && sizes[fd].key);
	for (size_t i = 0; i < maps[fd].n; i++)
		if (!memcmp(maps[fd].entries[i].key, key, sizes[fd].key))
			return &maps[fd].entries[i];
	return NULL;
}

static int fail(int error)
{
	errno = error;
	return -error;
}

/* Size of a value that counts for one CPU, which are all zero here; 0: another map */
static size_t counter_size(int fd)
{
	switch (fd) {
	case REGISTRY_COUNTERS:
		return sizeof(struct usher_counters);
	case REGISTRY_REFUSED_DEVICE:
		return sizeof(uint64_t);
	default:
		return 0;
	}
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct entry *entry;

	if (counter_size(fd)) {
		assert(*(const uint32_t *)key < USHER_SEATS_MAX);
		memset(value, 0, counter_size(fd));
		return 0;
	}
	entry = find(fd, key);
	if (!entry)
		return fail(ENOENT);
	memcpy(value, entry->value, sizes[fd].value);
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct entry *entry;

	if (counter_size(fd)) {
		assert(*(const uint32_t *)key < USHER_SEATS_MAX);
		return 0;
	}
	entry = find(fd, key);
	if (entry && flags == BPF_NOEXIST)
		return fail(EEXIST);
	if (!entry && (flags == BPF_EXIST || maps[fd].n == ENTRIES_MAX))
		return fail(flags == BPF_EXIST ? ENOENT : E2BIG);
	if (!entry)
		entry = &maps[fd].entries[maps[fd].n++];
	memcpy(entry->key, key, sizes[fd].key);
	memcpy(entry->value, value, sizes[fd].value);
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct entry *entry = find(fd, key);

	if (!entry)
		return fail(ENOENT);
	*entry = maps[fd].entries[--maps[fd].n];
	return 0;
}

int bpf_map_get_next_key(int fd, const void *key, void *next)
{
	const struct entry *entry = key ? find(fd, key) : NULL;
	size_t i = entry ? (size_t)(entry - maps[fd].entries) + 1 : 0;

	if (i >= maps[fd].n)
		return fail(ENOENT);
	memcpy(next, maps[fd].entries[i].key, sizes[fd].key);
	return 0;
}

int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *n,
	const struct bpf_map_batch_opts *options)
{
	const uint32_t first = *(const uint32_t *)in + 1;

	(void)options;
	assert(counter_size(fd) && first < USHER_SEATS_MAX);
	if (*n > USHER_SEATS_MAX - first)
		*n = USHER_SEATS_MAX - first;
	for (uint32_t i = 0; i < *n; i++)
		((uint32_t *)keys)[i] = first + i;
	memset(values, 0, *n * counter_size(fd));
	*(uint32_t *)out = first + *n - 1;
	return 0;
}

/* ---- input */

static struct input {
	const uint8_t *data;
	size_t size;
} input;

/* Zeros after the end */
static void take(void *ret, size_t size)
{
	size_t length = size < input.size ? size : input.size;

	memset(ret, 0, size);
	if (length)
		memcpy(ret, input.data, length);
	input.data += length;
	input.size -= length;
}

static uint8_t take_byte(void)
{
	uint8_t byte;

	take(&byte, sizeof(byte));
	return byte;
}

static struct usher_seat seats[USHER_SEATS_MAX];
static uint32_t numbers[SEATS_MAX];
static size_t n_numbers;
static uint64_t next_cookie;

static uint32_t take_seat(void)
{
	return n_numbers ? numbers[take_byte() % n_numbers] : 1;
}

static struct usher_place_key take_key(void)
{
	uint32_t seat = take_seat();

	return (struct usher_place_key){.seat = seat, .slot = take_byte()};
}

/* A member of a group, or what cannot be one */
static struct usher_place_key take_member(void)
{
	struct usher_place_key key = take_key();
	uint8_t member = take_byte();

	key.slot = group_key(key.slot % 32, member < 128 ? member % 4 : member * 2U);
	return key;
}

static void fill_maps(void)
{
	uint8_t n = take_byte();

	for (n_numbers = 0; n_numbers < n % (SEATS_MAX + 1); n_numbers++) {
		uint16_t number;

		take(&number, sizeof(number));
		numbers[n_numbers] = number % USHER_SEATS_MAX;
		take(&seats[numbers[n_numbers]], sizeof(*seats));
	}
	for (n = take_byte() % 48; n; n--) {
		const struct usher_place_key key = take_member();
		struct usher_place place;

		take(&place, sizeof(place));
		(void)bpf_map_update_elem(REGISTRY_PLACES, &key, &place, BPF_ANY);
	}
	for (n = take_byte() % 48; n; n--) {
		const struct usher_place_key key = take_member();
		const uint64_t cookie = 1U + take_byte();

		(void)bpf_map_update_elem(REGISTRY_SOCKETS, &key, &cookie, BPF_ANY);
		if (cookie & 1)
			(void)bpf_map_update_elem(REGISTRY_FRONT, &key.seat, &cookie, BPF_ANY);
		if (cookie & 2)
			(void)bpf_map_update_elem(REGISTRY_EARLY, &key.seat, &cookie, BPF_ANY);
	}
	for (n = take_byte() % 16; n; n--) {
		const struct usher_place_key key = take_key();
		struct usher_group group;

		take(&group, sizeof(group));
		(void)bpf_map_update_elem(REGISTRY_GROUPS, &key, &group, BPF_ANY);
	}
}

/* ---- what is true afterwards */

/* Return: how many sockets there are */
static unsigned check_places(const struct registry *registry, uint32_t seat)
{
	unsigned n = 0, rank = 0;

	registry_foreach_socket (registry, seat, walk) {
		struct registry_place place;

		registry_walk_read(registry, &walk, &place);
		assert(place.key.seat == seat && group_slot(place.key.slot) < USHER_SLOTS_MAX);
		assert(group_number(place.key.slot) < USHER_MEMBERS_MAX);
		assert(place.data.family == AF_UNSPEC || place.data.family == AF_INET ||
			place.data.family == AF_INET6);
		assert(place.data.pid <= INT32_MAX && place.data.cookie == walk.cookie);
		assert(memchr(place.data.unit, 0, sizeof(place.data.unit)));
		assert(walk.rank < USHER_PLACES_MAX && walk.rank >= rank);
		rank = walk.rank;
		n++;
	}
	return n;
}

/* Those of no seat are gone, and each record is of a place with what it says. */
static void check_groups(void)
{
	for (size_t i = 0; i < maps[REGISTRY_GROUPS].n; i++) {
		struct usher_place_key key;
		struct usher_group group;

		memcpy(&key, maps[REGISTRY_GROUPS].entries[i].key, sizeof(key));
		memcpy(&group, maps[REGISTRY_GROUPS].entries[i].value, sizeof(group));
		assert(order_has(seats[key.seat].order, key.slot) && group.kind <= USHER_KIND_IPV6_ONLY);
		assert(group_count(group.members) &&
			!memcmp(group.members, group.taken, sizeof(group.taken)));
	}
}

static void check(struct registry *registry)
{
	struct usher_counters counters;
	uint32_t *sorted;
	size_t n_sorted, n_places = 0;

	assert(registry_sort_seats(registry, NULL, &sorted, &n_sorted) == 0);
	for (size_t i = 0; i < n_sorted; i++) {
		const struct usher_seat *seat = &seats[sorted[i]];
		const uint64_t order = seat->order;
		unsigned n = check_places(registry, sorted[i]);

		assert(seat->protocol == IPPROTO_TCP || seat->protocol == IPPROTO_UDP);
		assert(seat->family == AF_INET || seat->family == AF_INET6);
		assert(memchr(seat->name, 0, sizeof(seat->name)) && name_is_valid(seat->name));
		assert(registry_search_seat(registry, sorted, n_sorted, seat->name, seat->protocol,
			       seat->family) == sorted[i]);
		assert(order_repair(order) == order);
		registry_count(registry, sorted[i]);
		n_places += n;
	}
	free(sorted);
	check_groups();
	assert(census_places(registry->census) == n_places);
	assert(census_sockets(registry->census) <= n_places && census_names(registry->census) <= n_sorted);
	assert(registry_sum_counters(registry, &counters) == 0);
}

/* ---- what happens then */

static void add(struct registry *registry, uint32_t seat)
{
	const uint8_t rank = take_byte(), group = take_byte();
	const struct registry_kin kin = {.owner = group & 1, .kind = group >> 1 & 3};
	const struct usher_place place = {.cookie = next_cookie,
		.family = AF_INET,
		.port = group >> 3 & 1,
		.flags = group >> 4 & 1 ? USHER_PLACE_REUSEPORT : 0};
	struct usher_place_key put = {.seat = seat};
	struct refusal refusal;
	int r = registry_reserve(
		registry, seat, &place, &kin, registry_is_full(registry, seat), &put.slot, &refusal);

	if (r)
		return;
	assert(group_slot(put.slot) < USHER_SLOTS_MAX && group_number(put.slot) < USHER_MEMBERS_MAX);
	if (bpf_map_update_elem(REGISTRY_SOCKETS, &put, &next_cookie, BPF_NOEXIST) < 0) {
		registry_unstage(registry, seat, put.slot);
		return;
	}
	next_cookie++;
	if (registry_is_full(registry, seat) && !registry_is_seated(registry, seat, put.slot))
		registry_replace(registry, seat, put.slot, rank % USHER_PLACES_MAX,
			order_slot(seats[seat].order, rank % USHER_PLACES_MAX));
	else
		registry_commit(registry, seat, put.slot, rank);
	registry_check_front(registry, seat);
}

/* A socket of the seat; Return: whether there is one */
static bool pick(const struct registry *registry, uint32_t seat, struct usher_place_key *ret)
{
	unsigned left = take_byte();

	for (unsigned round = 0; round < 2; round++)
		registry_foreach_socket (registry, seat, walk) {
			*ret = walk.key;
			if (!left--)
				return true;
		}
	return registry_read_first(registry, seat, &(struct registry_place){.data.pid = 0});
}

static void happen(struct registry *registry, uint32_t seat)
{
	struct usher_place_key key = {.seat = seat};
	struct registry_reaped reaped;

	if (!seat || !seats[seat].used) /* no seat has the number 0 */
		return;
	switch (take_byte() % 5) {
	case 0:
	case 1:
		add(registry, seat);
		break;
	case 2: /* the socket closes, and the kernel takes it out */
		if (pick(registry, seat, &key))
			(void)bpf_map_delete_elem(REGISTRY_SOCKETS, &key);
		break;
	case 3:
		if (pick(registry, seat, &key))
			registry_remove(registry, seat, key.slot);
		break;
	case 4:
		if (!registry_reap(registry, seat, &reaped))
			registry_free_seat(registry, seat);
		assert(!reaped.first_gone || reaped.n_gone);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct usher_counters cpus[REGISTRY_BATCH];
	struct registry registry = {.seats = seats, .cpus = cpus, .n_cpus = 1, .census = census_new()};

	assert(registry.census);
	input = (struct input){data, size};
	next_cookie = 1000;
	for (int i = 0; i < REGISTRY_MAPS; i++) {
		registry.maps[i] = i;
		maps[i].n = 0;
	}
	fill_maps();
	assert(registry_repair(&registry) == 0);
	check(&registry);
	for (unsigned i = 0; i < STEPS_MAX && input.size; i++) {
		happen(&registry, take_seat());
		if (i % 8 == 0)
			check(&registry);
	}
	registry_recount(&registry);
	check(&registry);
	census_free(registry.census);
	for (size_t i = 0; i < n_numbers; i++)
		memset(&seats[numbers[i]], 0, sizeof(*seats));
	return 0;
}
