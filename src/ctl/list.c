/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl list: the sockets of each seat, and the seats that have none */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../util/macro.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "graph/graph.h"
#include "out/grid.h"
#include "out/since.h"

enum {
	NAME,
	PROTO,
	FAMILY,
	STATE,
	SOCKET,
	ADDRESS,
	PID,
	UNIT,
	AGE,
	VIA,
	HELD,
	LOOKUPS,
	MISSING,
	REFUSED_ALL,
	/* only JSON has the columns below */
	REFUSED_PARTS,
	N_REFUSED_PARTS = 5,
	PLACE = REFUSED_PARTS + N_REFUSED_PARTS,
	UID,
	GID,
	VERIFIED,
	DUAL_STACK,
	HANDED_IN,
	EVENTS_LOST,
};

static const struct column columns[] = {
	[NAME] = {"NAME"},
	[PROTO] = {"PROTO"},
	[FAMILY] = {"FAMILY"},
	[STATE] = {"STATE"},
	[SOCKET] = {"SOCKET"},
	[ADDRESS] = {"ADDRESS"},
	[PID] = {"PID", JSON_NUMBER},
	[UNIT] = {"UNIT"},
	[AGE] = {"AGE"},
	[VIA] = {"VIA"},
	[HELD] = {"HELD", JSON_BOOL},
	[LOOKUPS] = {"LOOKUPS", JSON_NUMBER},
	[MISSING] = {"MISSING", JSON_NUMBER},
	[REFUSED_ALL] = {"REFUSED", JSON_NUMBER},
	[REFUSED_PARTS] = {"REFUSED_FAMILY", JSON_NUMBER, true},
	{"REFUSED_PROTOCOL", JSON_NUMBER, true},
	{"REFUSED_STATE", JSON_NUMBER, true},
	{"REFUSED_EXISTS", JSON_NUMBER, true},
	{"REFUSED_OTHER", JSON_NUMBER, true},
	[PLACE] = {"PLACE", JSON_NUMBER, true},
	[UID] = {"UID", JSON_NUMBER, true},
	[GID] = {"GID", JSON_NUMBER, true},
	[VERIFIED] = {"VERIFIED", JSON_BOOL, true},
	[DUAL_STACK] = {"DUAL_STACK", JSON_BOOL, true},
	[HANDED_IN] = {"HANDED_IN", JSON_NUMBER, true},
	[EVENTS_LOST] = {"EVENTS_LOST", JSON_NUMBER, true},
};

/* The key that each column shows. REFUSED_ALL is the sum of its parts. */
static const enum message_key keys[ARRAY_SIZE(columns)] = {
	[NAME] = KEY_NAME,
	[PROTO] = KEY_PROTOCOL,
	[FAMILY] = KEY_FAMILY,
	[STATE] = KEY_STATE,
	[SOCKET] = KEY_COOKIE,
	[ADDRESS] = KEY_ADDRESS,
	[PID] = KEY_PID,
	[UNIT] = KEY_UNIT,
	[AGE] = KEY_HANDED_IN,
	[VIA] = KEY_VIA,
	[HELD] = KEY_HELD,
	[LOOKUPS] = KEY_LOOKUPS,
	[MISSING] = KEY_MISSING,
	[REFUSED_PARTS] = KEY_REFUSED_FAMILY,
	KEY_REFUSED_PROTOCOL,
	KEY_REFUSED_STATE,
	KEY_REFUSED_EXISTS,
	KEY_REFUSED_OTHER,
	[PLACE] = KEY_PLACE,
	[UID] = KEY_UID,
	[GID] = KEY_GID,
	[VERIFIED] = KEY_VERIFIED,
	[DUAL_STACK] = KEY_DUAL_STACK,
	[HANDED_IN] = KEY_HANDED_IN,
	[EVENTS_LOST] = KEY_EVENTS_LOST,
};

struct listing {
	struct grid *grid;
	unsigned long n_sockets, n_missing;
};

static const char *sum_refused_columns(const struct client *client, char text[static 32])
{
	unsigned long sum = 0, number;
	bool any = false;

	for (size_t i = 0; i < N_REFUSED_PARTS; i++) {
		const char *value = message_get(&client->message, keys[REFUSED_PARTS + i]);

		if (value && text_to_uint(value, ~0UL, &number) == 0) {
			sum += number;
			any = true;
		}
	}
	if (!any)
		return NULL;
	(void)snprintf(text, 32, "%lu", sum);
	return text;
}

static int show_row(struct client *client, void *userdata)
{
	struct listing *listing = userdata;
	int r;

	r = grid_row(listing->grid);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(columns); i++) {
		const char *value = message_get(&client->message, keys[i]);
		char text[SINCE_TEXT_MAX];

		if (i == SOCKET && value) {
			(void)snprintf(text, sizeof(text), "sk:%.32s", value);
			value = text;
		} else if (i == AGE) {
			value = since_age(value, text);
		} else if (i == REFUSED_ALL) {
			value = sum_refused_columns(client, text);
		}
		r = grid_set(listing->grid, i, value);
	}
	if (message_get(&client->message, KEY_COOKIE))
		listing->n_sockets++;
	else
		listing->n_missing++;
	return r;
}

int verb_list(const struct ctl *ctl)
{
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	struct listing listing = {.grid = &grid};
	int r;

	if (ctl->graph != GRAPH_NONE)
		return graph_list(ctl);
	if (grid_init(&grid, ctl, columns, ARRAY_SIZE(columns)) < 0)
		return complain_memory();
	r = ask_each(ctl, REQUEST_LIST, "cannot list the sockets", show_row, &listing);
	if (r)
		return r;
	if (grid_print(&grid, "sockets") < 0)
		return complain_memory();
	if (!ctl->json && !ctl->no_legend)
		(void)printf("%ssockets: %lu, missing: %lu\n",
			listing.n_sockets + listing.n_missing ? "\n" : "", listing.n_sockets,
			listing.n_missing);
	return EXIT_SUCCESS;
}
