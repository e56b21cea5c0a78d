/* SPDX-License-Identifier: BSD-3-Clause */
#include "registry_walk.h"

#include <bpf/bpf.h>
#include <string.h>
#include <sys/socket.h>

#include "group.h"
#include "order.h"
#include "registry_groups.h"

uint64_t registry_walk_order(const struct registry *registry, uint32_t seat)
{
	return __atomic_load_n(&registry->seats[seat].order, __ATOMIC_ACQUIRE);
}

/* A lookup in a SOCKHASH returns the cookie of the socket (net/core/sock_map.c, since Linux 5.7). */
bool registry_walk_cookie(const struct registry *registry, const struct usher_place_key *key, uint64_t *ret)
{
	return bpf_map_lookup_elem(registry->maps[REGISTRY_SOCKETS], key, ret) == 0;
}

void registry_walk_recall(
	const struct registry *registry, const struct usher_place_key *key, struct usher_place *ret)
{
	if (bpf_map_lookup_elem(registry->maps[REGISTRY_PLACES], key, ret) < 0 || ret->pid > INT32_MAX ||
		(ret->family != AF_UNSPEC && ret->family != AF_INET && ret->family != AF_INET6))
		*ret = (struct usher_place){.cookie = 0};
	ret->unit[sizeof(ret->unit) - 1] = '\0';
}

struct registry_walk registry_walk_begin(const struct registry *registry, uint32_t seat)
{
	return (struct registry_walk){.key.seat = seat, .order = registry_walk_order(registry, seat)};
}

/* Return: false after the last place */
static bool open_place(const struct registry *registry, struct registry_walk *walk)
{
	if (!order_length(walk->order))
		return false;
	walk->rank += walk->lives;
	walk->lives = false;
	walk->key.slot = order_slot(walk->order, 0);
	walk->order >>= 8;
	registry_groups_members(registry, walk->key.seat, walk->key.slot, walk->left);
	return true;
}

bool registry_walk_next(const struct registry *registry, struct registry_walk *walk)
{
	for (;;) {
		unsigned member = group_next(walk->left, 0);

		if (member == USHER_MEMBERS_MAX) {
			if (!open_place(registry, walk))
				return false;
			continue;
		}
		group_drop(walk->left, member);
		walk->key.slot = group_key(group_slot(walk->key.slot), member);
		if (registry_walk_cookie(registry, &walk->key, &walk->cookie)) {
			walk->lives = true;
			return true;
		}
	}
}

void registry_walk_read(
	const struct registry *registry, const struct registry_walk *walk, struct registry_place *ret)
{
	ret->key = walk->key;
	registry_walk_recall(registry, &walk->key, &ret->data);
	if (ret->data.cookie != walk->cookie)
		ret->data = (struct usher_place){.cookie = walk->cookie};
}

bool registry_read_first(const struct registry *registry, uint32_t seat, struct registry_place *ret)
{
	registry_foreach_socket (registry, seat, walk) {
		registry_walk_read(registry, &walk, ret);
		return true;
	}
	return false;
}

bool registry_find_socket(
	const struct registry *registry, uint32_t seat, uint64_t cookie, struct registry_place *ret)
{
	registry_foreach_socket (registry, seat, walk) {
		if (walk.cookie != cookie)
			continue;
		if (ret)
			registry_walk_read(registry, &walk, ret);
		return true;
	}
	return false;
}

bool registry_next_place(const struct registry *registry, const char *name, uint64_t cookie, uint32_t *seat,
	struct registry_place *ret)
{
	while ((*seat = registry_next_seat(registry, *seat)))
		if (!strcmp(registry->seats[*seat].name, name) &&
			registry_find_socket(registry, *seat, cookie, ret))
			return true;
	return false;
}

void registry_count(struct registry *registry, uint32_t seat)
{
	uint64_t cookies[USHER_PLACES_MAX * USHER_MEMBERS_MAX];
	unsigned n = 0;

	registry_foreach_socket (registry, seat, walk)
		cookies[n++] = walk.cookie;
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
