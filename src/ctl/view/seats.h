/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The seats and their sockets, from the answer to `list` */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ask.h"

enum seat_counter {
	SEAT_LOOKUPS,
	SEAT_MISSING,
	SEAT_REFUSED_FAMILY,
	SEAT_REFUSED_PROTOCOL,
	SEAT_REFUSED_STATE,
	SEAT_REFUSED_EXISTS,
	SEAT_REFUSED_DEVICE,
	SEAT_REFUSED_OTHER,
	SEAT_YIELDED,
	SEAT_EVENTS_LOST,
	N_SEAT_COUNTERS,
};

/* The fields of a socket, named as in docs/protocol.md; NULL if the row lacks the field */
enum place_field {
	PLACE_STATE,
	PLACE_COOKIE,
	PLACE_ADDRESS, /* with the device to which it is bound, "192.0.2.1:80%eth0" */
	PLACE_PID,
	PLACE_UNIT,
	PLACE_VIA,
	PLACE_HELD,
	PLACE_DESTINATION,
	N_PLACE_FIELDS,
};

struct listed_place {
	const char *fields[N_PLACE_FIELDS];
	char text[]; /* the strings above point into it */
};

struct seat {
	char *name, *protocol, *family;
	uint64_t counters[N_SEAT_COUNTERS];
	struct listed_place **places; /* the one that serves comes first; none: missing */
	size_t n_places;
};

struct seats {
	struct seat *items; /* sorted by name, protocol, family */
	size_t n;
};

#define SEATS_NULL ((struct seats){})

/* place_is() - is the socket in this state? */
bool place_is(const struct listed_place *place, enum seat_state state);

/* place_is_held() - does the broker keep a duplicate of the socket? */
bool place_is_held(const struct listed_place *place);

void seats_deinit(struct seats *seats);

/* seats_add_row() - a row of the request `list`, for ask(); @userdata is the struct seats */
int seats_add_row(struct client *client, void *userdata);
