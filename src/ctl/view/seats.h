/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The seats and their sockets, as the request `list` shows them. */

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
	SEAT_REFUSED_OTHER,
	SEAT_EVENTS_LOST,
	N_SEAT_COUNTERS,
};

/* What is shown of a socket, in the words of docs/protocol.md; NULL when the row does not have it */
enum place_field {
	PLACE_STATE,
	PLACE_COOKIE,
	PLACE_ADDRESS,
	PLACE_PID,
	PLACE_UNIT,
	PLACE_VIA,
	PLACE_HELD,
	N_PLACE_FIELDS,
};

struct listed_place {
	const char *fields[N_PLACE_FIELDS];
	char text[]; /* what the strings above point into */
};

struct seat {
	char *name, *protocol, *family;
	uint64_t counters[N_SEAT_COUNTERS];
	struct listed_place **places; /* the one that serves first; none: missing */
	size_t n_places;
};

struct seats {
	struct seat *items; /* sorted by name, protocol, family */
	size_t n;
};

#define SEATS_NULL ((struct seats){})

/* place_is() - whether a socket is in this state */
bool place_is(const struct listed_place *place, enum seat_state state);

/* place_is_held() - whether the broker keeps a duplicate of it */
bool place_is_held(const struct listed_place *place);

void seats_deinit(struct seats *seats);

/* seats_add_row() - a row of the request `list`, for ask(); @userdata is the struct seats */
int seats_add_row(struct client *client, void *userdata);
