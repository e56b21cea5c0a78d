/* SPDX-License-Identifier: BSD-3-Clause */
#include "withdrawal.h"

#include <errno.h>
#include <string.h>

#include "../observe/observe.h"
#include "../util/array.h"
#include "early.h"
#include "named_rule.h"
#include "place.h"

/* Cookies of sockets that have left a seat: a dual-stack socket sits in two, and counts once. */
struct seen {
	uint64_t *cookies;
	size_t n;
};

static bool contains(const uint64_t *cookies, size_t n, uint64_t cookie)
{
	for (size_t i = 0; i < n; i++)
		if (cookies[i] == cookie)
			return true;
	return false;
}

static bool is_wanted(const struct withdrawal *withdrawal, uint64_t cookie)
{
	return !withdrawal->cookies || contains(withdrawal->cookies, withdrawal->n, cookie);
}

static void report_withdrawn(
	struct broker *broker, uint32_t seat, const struct usher_place *place, const struct identity *sender)
{
	struct observed about = place_observed(broker, &broker->registry.seats[seat], place);
	char address[ENDPOINT_TEXT_MAX];

	about.uid = sender->uid;
	about.by_client = true;
	observe(OBSERVE_WITHDRAWN, &about, "'%s': the socket at %s is withdrawn", about.name,
		place_address(place, address));
}

static void note(struct broker *broker, uint32_t seat, const struct usher_place *place,
	const struct withdrawal *withdrawal, struct seen *seen)
{
	if (contains(seen->cookies, seen->n, place->cookie) || ARRAY_RESERVE(seen->cookies, seen->n) < 0)
		return;
	seen->cookies[seen->n++] = place->cookie;
	report_withdrawn(broker, seat, place, withdrawal->sender);
}

/* The listener that Listen=kernel let in and nobody has handed in yet */
static void take_out_early(
	struct broker *broker, uint32_t seat, const struct withdrawal *withdrawal, struct seen *seen)
{
	const struct usher_place place = {.cookie = registry_read_early(&broker->registry, seat)};

	if (place.cookie && is_wanted(withdrawal, place.cookie) &&
		early_take_out(broker, withdrawal->name, place.cookie))
		note(broker, seat, &place, withdrawal, seen);
}

static bool is_of(const struct usher_seat *seat, const struct withdrawal *withdrawal)
{
	return strcmp(seat->name, withdrawal->name) == 0 &&
	       (!withdrawal->protocol || withdrawal->protocol == seat->protocol) &&
	       (!withdrawal->family || withdrawal->family == seat->family);
}

/* In another seat of the name */
static bool is_left(const struct broker *broker, const struct withdrawal *withdrawal, uint64_t cookie)
{
	struct registry_place place;
	uint32_t seat = 0;

	return registry_next_place(&broker->registry, withdrawal->name, cookie, &seat, &place);
}

static void take_out(
	struct broker *broker, uint32_t seat, const struct withdrawal *withdrawal, struct seen *seen)
{
	registry_foreach_socket (&broker->registry, seat, walk) {
		struct registry_place place;

		if (!is_wanted(withdrawal, walk.cookie))
			continue;
		registry_walk_read(&broker->registry, &walk, &place);
		registry_remove(&broker->registry, seat, place.key.slot);
		note(broker, seat, &place.data, withdrawal, seen);
	}
	take_out_early(broker, seat, withdrawal, seen);
}

int withdrawal_perform(
	struct broker *broker, const struct withdrawal *withdrawal, size_t *ret, struct refusal *refusal)
{
	struct seen seen = {.n = 0};
	int r;

	r = named_rule_check_access(broker, withdrawal->name, withdrawal->sender, refusal);
	if (r)
		return r;
	registry_foreach_seat (&broker->registry, seat)
		if (is_of(&broker->registry.seats[seat], withdrawal))
			take_out(broker, seat, withdrawal, &seen);
	for (size_t i = 0; i < seen.n; i++)
		if (!withdrawal->family || !is_left(broker, withdrawal, seen.cookies[i]))
			(void)holder_drop(broker->holder, withdrawal->name, seen.cookies[i]);
	free(seen.cookies);
	if (!seen.n)
		return refuse(refusal, ENOENT,
			withdrawal->cookies || withdrawal->protocol || withdrawal->family
				? "no such socket is handed in as '%s' (ENOENT); 'usherctl list' shows all sockets"
				: "nothing is handed in as '%s' (ENOENT); 'usherctl list' shows all sockets",
			withdrawal->name);
	*ret = seen.n;
	return 0;
}
