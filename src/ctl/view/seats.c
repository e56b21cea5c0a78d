/* SPDX-License-Identifier: BSD-3-Clause */
#include "seats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/device.h"
#include "../../util/text.h"

static const enum message_key counter_keys[N_SEAT_COUNTERS] = {
	[SEAT_LOOKUPS] = KEY_LOOKUPS,
	[SEAT_MISSING] = KEY_MISSING,
	[SEAT_REFUSED_FAMILY] = KEY_REFUSED_FAMILY,
	[SEAT_REFUSED_PROTOCOL] = KEY_REFUSED_PROTOCOL,
	[SEAT_REFUSED_STATE] = KEY_REFUSED_STATE,
	[SEAT_REFUSED_EXISTS] = KEY_REFUSED_EXISTS,
	[SEAT_REFUSED_DEVICE] = KEY_REFUSED_DEVICE,
	[SEAT_REFUSED_OTHER] = KEY_REFUSED_OTHER,
	[SEAT_YIELDED] = KEY_YIELDED,
	[SEAT_EVENTS_LOST] = KEY_EVENTS_LOST,
};
static const enum message_key place_keys[N_PLACE_FIELDS] = {
	[PLACE_STATE] = KEY_STATE,
	[PLACE_COOKIE] = KEY_COOKIE,
	[PLACE_ADDRESS] = KEY_ADDRESS,
	[PLACE_PID] = KEY_PID,
	[PLACE_UNIT] = KEY_UNIT,
	[PLACE_VIA] = KEY_VIA,
	[PLACE_HELD] = KEY_HELD,
	[PLACE_DESTINATION] = KEY_DESTINATION,
};

bool place_is(const struct listed_place *place, enum seat_state state)
{
	enum seat_state is;

	return state_from_word(place->fields[PLACE_STATE], &is) && is == state;
}

bool place_is_held(const struct listed_place *place)
{
	return yes_from_word(place->fields[PLACE_HELD]);
}

static void seat_deinit(struct seat *seat)
{
	for (size_t i = 0; i < seat->n_places; i++)
		free(seat->places[i]);
	free(seat->places);
	free(seat->name);
	free(seat->protocol);
	free(seat->family);
}

void seats_deinit(struct seats *seats)
{
	for (size_t i = 0; i < seats->n; i++)
		seat_deinit(&seats->items[i]);
	free(seats->items);
	*seats = SEATS_NULL;
}

static int compare_row(const struct seat *seat, const struct client *client)
{
	int r = strcmp(seat->name, ask_value(client, KEY_NAME, ""));

	if (!r)
		r = strcmp(seat->protocol, ask_value(client, KEY_PROTOCOL, ""));
	return r ? r : strcmp(seat->family, ask_value(client, KEY_FAMILY, ""));
}

static int add_seat(struct seats *seats, const struct client *client)
{
	struct seat *seat;

	if (ARRAY_RESERVE(seats->items, seats->n) < 0)
		return -ENOMEM;
	seat = &seats->items[seats->n++];
	*seat = (struct seat){
		.name = strdup(ask_value(client, KEY_NAME, "")),
		.protocol = strdup(ask_value(client, KEY_PROTOCOL, "")),
		.family = strdup(ask_value(client, KEY_FAMILY, "")),
	};
	if (!seat->name || !seat->protocol || !seat->family)
		return -ENOMEM;
	for (size_t i = 0; i < N_SEAT_COUNTERS; i++) {
		unsigned long number;

		if (text_to_uint(ask_value(client, counter_keys[i], "0"), ~0UL, &number) == 0)
			seat->counters[i] = number;
	}
	return 0;
}

/* The address comes with the device to which the socket is bound. */
static const char *get_field(const struct client *client, size_t field, char text[static ENDPOINT_TEXT_MAX])
{
	const char *value = message_get(&client->message, place_keys[field]);

	return field == PLACE_ADDRESS && value
		       ? device_endpoint_join(value, message_get(&client->message, KEY_DEVICE), text)
		       : value;
}

static int add_place(struct seat *seat, const struct client *client)
{
	struct listed_place *place;
	char text[ENDPOINT_TEXT_MAX];
	size_t size = 0;
	char *end;

	if (ARRAY_RESERVE(seat->places, seat->n_places) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < N_PLACE_FIELDS; i++) {
		const char *value = get_field(client, i, text);

		size += value ? strlen(value) + 1 : 0;
	}
	place = calloc(1, sizeof(*place) + size);
	if (!place)
		return -ENOMEM;
	end = place->text;
	for (size_t i = 0; i < N_PLACE_FIELDS; i++) {
		const char *value = get_field(client, i, text);

		if (!value)
			continue;
		place->fields[i] = end;
		end = stpcpy(end, value) + 1;
	}
	seat->places[seat->n_places++] = place;
	return 0;
}

int seats_add_row(struct client *client, void *userdata)
{
	struct seats *seats = userdata;
	int order = seats->n ? compare_row(&seats->items[seats->n - 1], client) : -1, r = 0;

	/* if a reload happens while the broker sends the list, a seat may come twice */
	if (order > 0)
		return 0;
	if (order < 0)
		r = add_seat(seats, client);
	if (!r && message_get(&client->message, KEY_COOKIE))
		r = add_place(&seats->items[seats->n - 1], client);
	return r;
}
