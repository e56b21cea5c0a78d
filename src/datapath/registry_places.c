/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/errno_name.h"
#include "../util/transport.h"
#include "order.h"
#include "registry.h"

/* A lookup in a SOCKHASH returns the cookie of the socket (net/core/sock_map.c, since Linux 5.7). */
static bool read_cookie(const struct registry *registry, const struct usher_place_key *key, uint64_t *ret)
{
	return bpf_map_lookup_elem(registry->maps[REGISTRY_SOCKETS], key, ret) == 0;
}

static uint64_t read_order(const struct registry *registry, uint32_t seat)
{
	return __atomic_load_n(&registry->seats[seat].order, __ATOMIC_ACQUIRE);
}

static void write_order(struct registry *registry, uint32_t seat, uint64_t order)
{
	__atomic_store_n(&registry->seats[seat].order, order, __ATOMIC_RELEASE);
}

/* What is remembered in a slot; nothing if there is nothing, or if it is damaged. */
static void recall(
	const struct registry *registry, const struct usher_place_key *key, struct usher_place *ret)
{
	if (bpf_map_lookup_elem(registry->maps[REGISTRY_PLACES], key, ret) < 0 || ret->pid > INT32_MAX ||
		(ret->family != AF_UNSPEC && ret->family != AF_INET && ret->family != AF_INET6))
		*ret = (struct usher_place){.cookie = 0};
	ret->unit[sizeof(ret->unit) - 1] = '\0';
}

unsigned registry_read_places(const struct registry *registry, uint32_t seat, struct registry_place *ret)
{
	uint64_t order = read_order(registry, seat);
	unsigned n = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++) {
		struct registry_place *place = &ret[n];
		uint64_t cookie;

		memset(place, 0, sizeof(*place));
		place->key = (struct usher_place_key){.seat = seat, .slot = order_slot(order, rank)};
		if (!read_cookie(registry, &place->key, &cookie))
			continue;
		recall(registry, &place->key, &place->data);
		if (place->data.cookie != cookie)
			place->data = (struct usher_place){.cookie = cookie};
		n++;
	}
	return n;
}

unsigned registry_read_cookies(const struct registry *registry, uint32_t seat, uint64_t *ret)
{
	uint64_t order = read_order(registry, seat);
	unsigned n = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++) {
		const struct usher_place_key key = {.seat = seat, .slot = order_slot(order, rank)};

		n += read_cookie(registry, &key, &ret[n]);
	}
	return n;
}

bool registry_next_place(const struct registry *registry, const char *name, uint64_t cookie, uint32_t *seat,
	struct registry_place *ret)
{
	while ((*seat = registry_next_seat(registry, *seat))) {
		struct registry_place places[USHER_PLACES_MAX];
		unsigned n;

		if (strcmp(registry->seats[*seat].name, name))
			continue;
		n = registry_read_places(registry, *seat, places);
		for (unsigned i = 0; i < n; i++)
			if (places[i].data.cookie == cookie) {
				*ret = places[i];
				return true;
			}
	}
	return false;
}

void registry_count(struct registry *registry, uint32_t seat)
{
	uint64_t cookies[USHER_PLACES_MAX];
	unsigned n = registry_read_cookies(registry, seat, cookies);

	census_note(registry->census, seat, registry->seats[seat].name, cookies, n);
}

void registry_recount(struct registry *registry)
{
	const uint32_t start = registry->counted;
	uint32_t seat = start;
	bool from_start = false;

	for (unsigned i = 0; i < REGISTRY_RECOUNT; i++) {
		seat = registry_next_seat(registry, seat);
		if (seat && !(from_start && seat > start)) {
			registry_count(registry, seat);
			continue;
		}
		if (from_start)
			break; /* all of them */
		from_start = true;
		seat = 0;
	}
	registry->counted = seat;
}

static void forget(struct registry *registry, const struct usher_place_key *key)
{
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_SOCKETS], key);
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_PLACES], key);
}

unsigned registry_reap(struct registry *registry, uint32_t seat, struct registry_reaped *ret)
{
	uint64_t order = read_order(registry, seat), kept = order;
	struct registry_reaped reaped = {.n_gone = 0};

	for (unsigned rank = 0; rank < order_length(order); rank++) {
		struct usher_place_key key = {.seat = seat, .slot = order_slot(order, rank)};
		uint64_t cookie;

		if (read_cookie(registry, &key, &cookie))
			continue;
		reaped.first_gone = reaped.first_gone || !rank;
		reaped.gone[reaped.n_gone].key = key;
		recall(registry, &key, &reaped.gone[reaped.n_gone].data);
		reaped.n_gone++;
		kept = order_without(kept, key.slot);
		write_order(registry, seat, kept);
		forget(registry, &key);
	}
	if (reaped.n_gone)
		registry_count(registry, seat);
	if (ret)
		*ret = reaped;
	return order_length(kept);
}

int registry_refuse_socket(struct refusal *refusal, int error)
{
	switch (error) {
	case EOPNOTSUPP:
		return refuse(refusal, error,
			"is of a type or in a state that a sockmap does not accept (EOPNOTSUPP); hand in a listening TCP or a bound UDP socket");
	case EINVAL:
		return refuse(refusal, error,
			"has an upper layer protocol such as kTLS, which a sockmap does not accept (EINVAL); hand it in before that is set up");
	case EBUSY:
		return refuse(refusal, error,
			"is used by the kernel, or by another sockmap with a program of its own (EBUSY); hand in a plain socket");
	case E2BIG:
		return refuse(refusal, error,
			"does not fit: the table of %u sockets is full (E2BIG); withdraw some",
			USHER_SEATS_MAX * USHER_PLACES_MAX);
	default:
		return refuse(
			refusal, error, "could not be put into the kernel's table (%s)", errno_name(error));
	}
}

static bool is_taken(uint64_t order, uint32_t slot)
{
	return order_without(order, slot) != order;
}

/* Takes a slot. The order does not show those that are reserved. Return: whether there was room, or a negative errno. */
static int take_slot(const struct registry *registry, struct usher_place_key *key,
	const struct usher_place *place, unsigned leaving)
{
	uint64_t order = read_order(registry, key->seat);
	unsigned n = order_length(order) - leaving;
	struct usher_place_key free_key = {.slot = USHER_SLOTS_MAX};
	struct usher_place reserved;

	for (key->slot = 0; key->slot < USHER_SLOTS_MAX && n < USHER_PLACES_MAX; key->slot++) {
		if (is_taken(order, key->slot))
			continue;
		if (bpf_map_lookup_elem(registry->maps[REGISTRY_PLACES], key, &reserved) == 0)
			n++;
		else if (free_key.slot == USHER_SLOTS_MAX)
			free_key = *key;
	}
	if (n >= USHER_PLACES_MAX || free_key.slot == USHER_SLOTS_MAX)
		return false;
	*key = free_key;
	return bpf_map_update_elem(registry->maps[REGISTRY_PLACES], key, place, BPF_NOEXIST) < 0 ? -errno
												 : true;
}

int registry_reserve(struct registry *registry, uint32_t seat, const struct usher_place *place,
	unsigned leaving, uint32_t *ret_slot, struct refusal *refusal)
{
	struct usher_place_key key = {.seat = seat};
	int r = take_slot(registry, &key, place, leaving);

	if (r == 0) {
		(void)registry_reap(registry, seat, NULL);
		r = take_slot(registry, &key, place, leaving);
	}
	if (r < 0)
		return r;
	if (r == 0)
		return refuse(refusal, ENOSPC,
			"does not fit: '%s' has %u live %s sockets for %s already, the maximum (ENOSPC); withdraw or close some",
			registry->seats[seat].name, USHER_PLACES_MAX,
			protocol_name(registry->seats[seat].protocol),
			family_name(registry->seats[seat].family));
	*ret_slot = key.slot;
	return 0;
}

void registry_unstage(struct registry *registry, uint32_t seat, uint32_t slot)
{
	struct usher_place_key key = {.seat = seat, .slot = slot};

	forget(registry, &key);
}

void registry_commit(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank)
{
	write_order(registry, seat, order_with(read_order(registry, seat), slot, rank));
	registry_count(registry, seat);
}

bool registry_is_full(const struct registry *registry, uint32_t seat)
{
	return order_length(read_order(registry, seat)) == USHER_PLACES_MAX;
}

void registry_check_front(struct registry *registry, uint32_t seat)
{
	uint64_t order = read_order(registry, seat), first, front;
	struct usher_place_key key = {.seat = seat, .slot = order_length(order) ? order_slot(order, 0) : 0};

	if (bpf_map_lookup_elem(registry->maps[REGISTRY_FRONT], &seat, &front) < 0)
		return;
	if (!order_length(order) || !read_cookie(registry, &key, &first) || first != front)
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
}

void registry_replace(struct registry *registry, uint32_t seat, uint32_t slot, unsigned rank, uint32_t old)
{
	const struct usher_place_key key = {.seat = seat, .slot = old};
	uint64_t order = read_order(registry, seat);

	if (rank && order_length(order) && order_slot(order, 0) == old)
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
	write_order(registry, seat, order_with(order_without(order, old), slot, rank));
	forget(registry, &key);
	registry_count(registry, seat);
}

void registry_remove(struct registry *registry, uint32_t seat, uint32_t slot)
{
	struct usher_place_key key = {.seat = seat, .slot = slot};
	uint64_t order = read_order(registry, seat);

	if (order_length(order) && order_slot(order, 0) == slot)
		(void)bpf_map_delete_elem(registry->maps[REGISTRY_FRONT], &seat);
	write_order(registry, seat, order_without(order, slot));
	forget(registry, &key);
	registry_count(registry, seat);
}

int registry_write_place(struct registry *registry, const struct registry_place *place)
{
	return bpf_map_update_elem(registry->maps[REGISTRY_PLACES], &place->key, &place->data, BPF_EXIST) < 0
		       ? -errno
		       : 0;
}
