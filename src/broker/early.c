/* SPDX-License-Identifier: BSD-3-Clause */
#include "early.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "place.h"

struct early {
	struct early_seat *seats; /* by number */
	size_t n_seats;
	sd_event_source *timer; /* off while no seat has a listener */
};

struct early *early_free(struct early *early)
{
	if (!early)
		return NULL;
	sd_event_source_disable_unref(early->timer);
	free(early->seats);
	free(early);
	return NULL;
}

static struct early_seat *find_seat(struct early_seat *seats, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (seats[i].number == number)
			return &seats[i];
	return NULL;
}

static void set_timer(const struct early *early)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < early->n_seats; i++)
		if (early->seats[i].cookie && early->seats[i].deadline < first)
			first = early->seats[i].deadline;
	(void)sd_event_source_set_time(early->timer, first);
	(void)sd_event_source_set_enabled(
		early->timer, first == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Empties the slots of a name that hold this socket. Return: how many; `ret` is what is known about the socket. */
static unsigned empty_slots(struct broker *broker, const char *name, uint64_t cookie, struct early_seat *ret)
{
	unsigned n = 0;

	*ret = (struct early_seat){.cookie = cookie};
	for (size_t i = 0; i < broker->early->n_seats; i++) {
		struct early_seat *seat = &broker->early->seats[i];

		if (strcmp(broker->registry.seats[seat->number].name, name) != 0 ||
			registry_read_early(&broker->registry, seat->number) != cookie)
			continue;
		registry_clear_early(&broker->registry, seat->number);
		if (!n || !ret->family) {
			*ret = *seat;
			ret->cookie = cookie;
		}
		*seat = (struct early_seat){.number = seat->number};
		n++;
	}
	return n;
}

unsigned early_take_out(struct broker *broker, const char *name, uint64_t cookie)
{
	struct early_seat known;
	unsigned n = empty_slots(broker, name, cookie, &known);

	if (n)
		set_timer(broker->early);
	return n;
}

unsigned early_evict(struct broker *broker, const char *name, uint64_t cookie, const char *reason)
{
	struct early_seat known;
	unsigned n = empty_slots(broker, name, cookie, &known);
	char address[ENDPOINT_TEXT_MAX];
	struct usher_place place;
	struct observed about;

	if (!n)
		return 0;
	place = (struct usher_place){.cookie = cookie, .family = known.family, .port = known.port};
	memcpy(place.address, known.address, sizeof(place.address));
	about = place_observed(broker, &broker->registry.seats[known.number], &place);
	about.reason = reason;
	observe(OBSERVE_EVICTED, &about,
		"'%s': the listener at %s (sk:%" PRIx64 "), which Listen=kernel had let in, is taken out: %s",
		name, place_address(&place, address), cookie, reason);
	set_timer(broker->early);
	return n;
}

void early_note(struct broker *broker, const struct usher_event *event)
{
	struct early *early = broker->early;
	struct early_seat *seat = find_seat(early->seats, early->n_seats, event->seat);

	if (!seat) {
		/* the program had read the entry before the broker removed it */
		registry_clear_early(&broker->registry, event->seat);
		return;
	}
	memcpy(seat->address, event->local_address, sizeof(seat->address));
	seat->port = event->local_port;
	seat->family = event->family;
}

static void look_at_seat(struct broker *broker, struct early_seat *seat, uint64_t now)
{
	uint64_t cookie = registry_read_early(&broker->registry, seat->number);
	char reason[96];

	if (!cookie) {
		*seat = (struct early_seat){.number = seat->number};
	} else if (registry_find_socket(&broker->registry, seat->number, cookie, NULL)) {
		registry_clear_early(&broker->registry, seat->number);
		*seat = (struct early_seat){.number = seat->number};
	} else if (cookie != seat->cookie) {
		seat->cookie = cookie;
		seat->deadline = now + USHER_EARLY_SECONDS * 1000000ULL;
	} else if (seat->deadline <= now) {
		(void)snprintf(reason, sizeof(reason),
			"it was not handed in within %u seconds; see the messages of usher-discover",
			USHER_EARLY_SECONDS);
		(void)early_evict(broker, broker->registry.seats[seat->number].name, cookie, reason);
	}
}

/* Takes out listeners that serve in a place and those whose time is over; starts the time of new ones. */
static void look_at_seats(struct broker *broker)
{
	struct early *early = broker->early;
	uint64_t now;

	(void)sd_event_now(broker->event, CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < early->n_seats; i++)
		look_at_seat(broker, &early->seats[i], now);
	set_timer(early);
}

void early_follow(struct broker *broker)
{
	if (broker->early->n_seats)
		look_at_seats(broker);
}

/* Listeners keep their deadlines. */
static void take_seats(struct early *early, struct early_plan *plan)
{
	for (size_t i = 0, k = 0; i < plan->n_seats; i++) {
		while (k < early->n_seats && early->seats[k].number < plan->seats[i].number)
			k++;
		if (k < early->n_seats && early->seats[k].number == plan->seats[i].number)
			plan->seats[i] = early->seats[k];
	}
	free(early->seats);
	early->seats = TAKE_PTR(plan->seats);
	early->n_seats = plan->n_seats;
}

static void empty_other_slots(struct broker *broker)
{
	const struct early *early = broker->early;
	size_t k = 0;

	registry_foreach_seat (&broker->registry, seat) {
		while (k < early->n_seats && early->seats[k].number < seat)
			k++;
		if (k == early->n_seats || early->seats[k].number != seat)
			registry_clear_early(&broker->registry, seat);
	}
}

void early_apply(struct broker *broker, struct early_plan *plan)
{
	int r = registry_write_early_rules(&broker->registry, plan->rules, plan->n_rules);

	if (r < 0)
		observe(OBSERVE_FAILED, &(struct observed){.error = -r, .reason = errno_name(-r)},
			"usherd could not put every rule with Listen=kernel into the kernel's table (%s); sockets of the others are handed in a little later",
			errno_name(-r));
	take_seats(broker->early, plan);
	empty_other_slots(broker);
	look_at_seats(broker);
}

static int on_timer(sd_event_source *source, uint64_t time, void *userdata)
{
	(void)source;
	(void)time;
	look_at_seats(userdata);
	return 0;
}

int early_new(struct broker *broker)
{
	struct early *early = calloc(1, sizeof(*early));
	int r;

	if (!early)
		return -ENOMEM;
	broker->early = early;
	r = sd_event_add_time(broker->event, &early->timer, CLOCK_MONOTONIC, 0, 0, on_timer, broker);
	return r < 0 ? r : sd_event_source_set_enabled(early->timer, SD_EVENT_OFF);
}
