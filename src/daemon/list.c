/* SPDX-License-Identifier: BSD-3-Clause */

/* The request list: seats and places, read from the maps row by row. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/named_rule.h"
#include "../broker/place.h"
#include "../util/address.h"
#include "../util/destination.h"
#include "../util/device.h"
#include "../util/macro.h"
#include "../util/transport.h"
#include "request.h"

struct list {
	const struct broker *broker;
	uint32_t *seats; /* sorted by name, protocol, family */
	size_t n_seats, at;
	char name[USHER_NAME_MAX]; /* seats of this name only, unless it is empty */
	struct usher_seat
		seat; /* the seat at `at`, or else the last one before it; a copy from when it was opened */
	struct registry_walk walk;   /* through the seat at `at` */
	struct registry_place first; /* of it, if it has any */
	bool has_place;		     /* `walk` is at a socket that has no row yet */
	unsigned n_rows;	     /* of the seat, so far */
	uint64_t early; /* cookie of the listener that Listen=kernel let into the seat; 0: none */
	bool open;	/* the walk has begun */
};

static void list_release(void *state)
{
	struct list *list = state;

	free(list->seats);
	free(list);
}

static void list_freep(struct list **list)
{
	if (*list)
		list_release(*list);
}

static bool is_routed(const struct broker *broker, const struct usher_seat *seat, uint32_t number)
{
	const struct rule *rule = rule_set_find(broker->generation->rules, seat->name);

	return rule && generation_seat(broker->generation, rule, seat->protocol, seat->family) == number;
}

static void write_seat(struct writer *row, const struct usher_seat *seat)
{
	writer_put(row, KEY_ROW, "1");
	writer_put(row, KEY_NAME, "%s", seat->name);
	writer_put(row, KEY_PROTOCOL, "%s", protocol_word(seat->protocol));
	writer_put(row, KEY_FAMILY, "%s", family_word(seat->family));
}

static void write_state(struct writer *row, enum seat_state state)
{
	writer_put(row, KEY_STATE, "%s", state_word(state));
}

static void write_place(struct writer *row, const struct usher_place *place, unsigned number)
{
	char address[ENDPOINT_TEXT_MAX], destination[DESTINATION_TEXT_MAX], device[DEVICE_TEXT_MAX];

	writer_put(row, KEY_PLACE, "%u", number);
	writer_put(row, KEY_COOKIE, "%" PRIx64, (uint64_t)place->cookie);
	if (!place->family)
		return; /* there is no description of the socket */
	writer_put(
		row, KEY_ADDRESS, "%s", endpoint_format(place->family, place->address, place->port, address));
	if (place->device)
		writer_put(row, KEY_DEVICE, "%s", device_format(place->device, device));
	if (place->pid)
		writer_put(row, KEY_PID, "%u", place->pid);
	writer_put(row, KEY_UID, "%u", place->uid);
	writer_put(row, KEY_GID, "%u", place->gid);
	if (*place->unit)
		writer_put(row, KEY_UNIT, "%s", place->unit);
	writer_put(row, KEY_VERIFIED, "%s", yes_word(place->flags & USHER_PLACE_VERIFIED));
	writer_put(row, KEY_HANDED_IN, "%" PRIu64, (uint64_t)place->handed_in);
	writer_put(row, KEY_VIA, "%s", via_word(place->via < VIA_N ? place->via : VIA_CLIENT));
	writer_put(row, KEY_HELD, "%s", yes_word(place->flags & USHER_PLACE_HELD));
	writer_put(row, KEY_DUAL_STACK, "%s", yes_word(place->flags & USHER_PLACE_DUAL_STACK));
	if (place->destination)
		writer_put(row, KEY_DESTINATION, "%s", destination_format(place->destination, destination));
}

static void write_counters(struct writer *row, const struct registry *registry, uint32_t seat)
{
	struct usher_counters count;
	uint64_t device, yielded;

	if (registry_read_counters(registry, seat, &count) < 0 ||
		registry_read_refused_device(registry, seat, &device) < 0 ||
		registry_read_yielded(registry, seat, &yielded) < 0)
		return;
	writer_put(row, KEY_LOOKUPS, "%" PRIu64, (uint64_t)count.lookups);
	writer_put(row, KEY_MISSING, "%" PRIu64, (uint64_t)count.missing);
	writer_put(row, KEY_REFUSED_FAMILY, "%" PRIu64, (uint64_t)count.refused_family);
	writer_put(row, KEY_REFUSED_PROTOCOL, "%" PRIu64, (uint64_t)count.refused_protocol);
	writer_put(row, KEY_REFUSED_STATE, "%" PRIu64, (uint64_t)count.refused_state);
	writer_put(row, KEY_REFUSED_EXISTS, "%" PRIu64, (uint64_t)count.refused_exists);
	writer_put(row, KEY_REFUSED_DEVICE, "%" PRIu64, device);
	writer_put(row, KEY_REFUSED_OTHER, "%" PRIu64, (uint64_t)count.refused_other);
	writer_put(row, KEY_YIELDED, "%" PRIu64, yielded);
	writer_put(row, KEY_EVENTS_LOST, "%" PRIu64, (uint64_t)count.events_lost);
}

/*
 * While the list is being sent, a reload may free a seat and give its number to another name. The list must not show
 * that name out of order, nor to a client that asked for another one.
 */
static bool is_expected(const struct list *list, const struct usher_seat *seat)
{
	return seat->used && strcmp(list->seat.name, seat->name) <= 0 &&
	       (!*list->name || !strcmp(list->name, seat->name));
}

/* A listener that has a place by now no longer waits. */
static uint64_t read_early(const struct list *list, uint32_t number)
{
	uint64_t cookie = registry_read_early(&list->broker->registry, number);

	return cookie && registry_find_socket(&list->broker->registry, number, cookie, NULL) ? 0 : cookie;
}

/* Goes on to the next seat that has something to show. Return: false at the end. */
static bool open_seat(struct list *list)
{
	const struct registry *registry = &list->broker->registry;

	for (; list->at < list->n_seats; list->at++) {
		uint32_t number = list->seats[list->at];
		const struct usher_seat *seat = &registry->seats[number];

		if (list->open)
			return true;
		if (!is_expected(list, seat))
			continue;
		list->seat = *seat;
		list->walk = registry_walk_begin(registry, number);
		list->has_place = registry_walk_next(registry, &list->walk);
		if (list->has_place)
			registry_walk_read(registry, &list->walk, &list->first);
		list->early = read_early(list, number);
		list->n_rows = 0;
		list->open = true;
		if (list->has_place || list->early || is_routed(list->broker, seat, number))
			return true;
		list->open = false;
	}
	return false;
}

/* The socket that the walk is at, and on to the next one of the same seat */
static void write_next_place(struct list *list, struct writer *row, uint32_t number)
{
	const struct registry *registry = &list->broker->registry;
	const struct usher_seat *seat = &registry->seats[number];
	struct registry_place place = list->first;
	const unsigned rank = list->walk.rank;
	bool serves;

	if (list->n_rows)
		registry_walk_read(registry, &list->walk, &place);
	serves = !rank || registry_serves_with(registry, &place, &list->first);
	write_state(row, !is_routed(list->broker, &list->seat, number) ? STATE_UNROUTED
			 : serves				       ? STATE_SERVING
								       : STATE_STANDBY);
	write_place(row, &place.data, rank + 1);
	list->has_place = seat->used && !strcmp(seat->name, list->seat.name) &&
			  seat->protocol == list->seat.protocol && seat->family == list->seat.family &&
			  registry_walk_next(registry, &list->walk);
}

static bool list_next(void *state, struct writer *row, int *fds, size_t *n_fds)
{
	struct list *list = state;
	uint32_t number;

	(void)fds;
	(void)n_fds;
	if (!open_seat(list)) {
		writer_put(row, KEY_OK, "1");
		return false;
	}
	number = list->seats[list->at];
	write_seat(row, &list->seat);
	if (list->has_place) {
		write_next_place(list, row, number);
	} else if (list->early) {
		write_state(row, STATE_EARLY);
		writer_put(row, KEY_COOKIE, "%" PRIx64, list->early);
		list->early = 0;
	} else {
		write_state(row, STATE_MISSING);
	}
	if (!list->n_rows++)
		write_counters(row, &list->broker->registry, number);
	if (!list->has_place && !list->early) {
		list->open = false;
		list->at++;
	}
	return true;
}

int request_list(
	struct broker *broker, const char *name, struct answer_source *answer, struct refusal *refusal)
{
	_cleanup_(list_freep) struct list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return -ENOMEM;
	list->broker = broker;
	(void)snprintf(list->name, sizeof(list->name), "%s", name ? name : "");
	r = registry_sort_seats(&broker->registry, name, &list->seats, &list->n_seats);
	if (r < 0)
		return r;
	if (name && !list->n_seats)
		return named_rule_check_fault(broker, name, refusal)
			       ? REFUSED
			       : refuse(refusal, ENOENT,
					 "there is no rule and no socket '%s' (ENOENT); 'usherctl rules' shows all rules",
					 name);
	*answer = (struct answer_source){.next = list_next, .release = list_release, .state = TAKE_PTR(list)};
	return 0;
}
