/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl held: the sockets of which the broker keeps a duplicate, for scripts that decide whether to claim them */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "host/listening.h"
#include "out/grid.h"
#include "view/seats.h"
#include "view/served.h"

enum { NAME, PROTO, FAMILY, STATE, SOCKET, ADDRESS, PID, UNIT, VIA, WAITING };

static const struct column columns[] = {
	[NAME] = {"NAME"},
	[PROTO] = {"PROTO"},
	[FAMILY] = {"FAMILY"},
	[STATE] = {"STATE"},
	[SOCKET] = {"SOCKET"},
	[ADDRESS] = {"ADDRESS"},
	[PID] = {"PID", JSON_NUMBER},
	[UNIT] = {"UNIT"},
	[VIA] = {"VIA"},
	[WAITING] = {"WAITING", JSON_NUMBER},
};

/* The place field that each column shows; N_PLACE_FIELDS: another thing */
static const enum place_field fields[ARRAY_SIZE(columns)] = {
	[NAME] = N_PLACE_FIELDS,
	[PROTO] = N_PLACE_FIELDS,
	[FAMILY] = N_PLACE_FIELDS,
	[STATE] = PLACE_STATE,
	[SOCKET] = N_PLACE_FIELDS,
	[ADDRESS] = PLACE_ADDRESS,
	[PID] = PLACE_PID,
	[UNIT] = PLACE_UNIT,
	[VIA] = PLACE_VIA,
	[WAITING] = N_PLACE_FIELDS,
};

struct holding {
	struct seats seats;
	struct listening listening; /* of the broker's network namespace; empty if that is another one */
};

static void holding_deinit(struct holding *holding)
{
	seats_deinit(&holding->seats);
	listening_deinit(&holding->listening);
}

/* Outcome of ask_name() besides the exit codes: the broker does not know the name */
enum { UNKNOWN = -1 };

/* Whether something is held is not known when the broker does not say so: that is no "no". */
static int complain_unknown(int r, const struct refusal *refusal, const char *name)
{
	int status = name ? complain_refusal(r, refusal, "cannot say what is held as '%s'", name)
			  : complain_refusal(r, refusal, "cannot say what is held");

	return status == EXIT_FAILURE ? EXIT_UNDECIDED : status;
}

static int ask_name(struct client *client, const char *name, struct seats *seats)
{
	struct refusal refusal;
	struct writer writer;
	int r;

	client_begin(&writer, REQUEST_LIST);
	if (name)
		writer_put(&writer, KEY_NAME, "%s", name);
	r = ask(client, &writer, NULL, 0, seats_add_row, seats, &refusal);
	if (r == REFUSED && refusal.error == ENOENT && name) {
		complain("nothing is held as '%s': %s", name, refusal.text);
		return UNKNOWN;
	}
	return r ? complain_unknown(r, &refusal, name) : EXIT_SUCCESS;
}

static int complain_no_memory(void)
{
	(void)complain_memory();
	return EXIT_UNDECIDED;
}

static size_t count_held(const struct seats *seats)
{
	size_t n = 0;

	for (size_t i = 0; i < seats->n; i++)
		for (size_t j = 0; j < seats->items[i].n_places; j++)
			n += place_is_held(seats->items[i].places[j]);
	return n;
}

static const char *find_value(const struct holding *holding, const struct seat *seat,
	const struct listed_place *place, size_t column, char text[static 32])
{
	const char *cookie = place->fields[PLACE_COOKIE];
	const struct diag_socket *socket;

	if (fields[column] != N_PLACE_FIELDS)
		return place->fields[fields[column]];
	switch (column) {
	case NAME:
		return seat->name;
	case PROTO:
		return seat->protocol;
	case FAMILY:
		return seat->family;
	case SOCKET:
		(void)snprintf(text, 32, "sk:%.16s", cookie);
		return text;
	default:
		socket = listening_find(&holding->listening, cookie);
		if (!socket)
			return NULL;
		(void)snprintf(text, 32, "%" PRIu32, socket->queue);
		return text;
	}
}

static int add_rows(struct grid *grid, const struct holding *holding, const struct seat *seat)
{
	char text[32];
	int r = 0;

	for (size_t i = 0; i < seat->n_places && !r; i++) {
		if (!place_is_held(seat->places[i]) || !seat->places[i]->fields[PLACE_COOKIE])
			continue;
		r = grid_row(grid);
		for (size_t column = 0; column < ARRAY_SIZE(columns) && !r; column++)
			r = grid_set(grid, column, find_value(holding, seat, seat->places[i], column, text));
	}
	return r;
}

/* Names one after the other, each in seats of its own: a list of several names would have to be sorted. */
static int show_name(struct client *client, const char *name, struct grid *grid, size_t *ret_n)
{
	_cleanup_(holding_deinit) struct holding holding = {};
	struct refusal refusal;
	int r = ask_name(client, name, &holding.seats);

	*ret_n = 0;
	if (r)
		return r == UNKNOWN ? EXIT_SUCCESS : r;
	if (!served_check_namespace(client, &refusal))
		(void)listening_read(&holding.listening, &refusal);
	*ret_n = count_held(&holding.seats);
	for (size_t i = 0; i < holding.seats.n; i++)
		if (add_rows(grid, &holding, &holding.seats.items[i]) < 0)
			return complain_no_memory();
	return EXIT_SUCCESS;
}

int verb_held(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	bool all = true;
	struct refusal refusal;
	size_t i = 0, n, n_held = 0;
	int r;

	if (grid_init(&grid, ctl, columns, ARRAY_SIZE(columns)) < 0)
		return complain_no_memory();
	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r)
		return complain_unknown(r, &refusal, ctl->names[0]);
	do {
		r = show_name(&client, ctl->names[i], &grid, &n);
		if (r)
			return r;
		all = all && n;
		n_held += n;
	} while (++i < ctl->n_names);
	if ((n_held || ctl->json) && grid_print(&grid, "sockets") < 0)
		return complain_no_memory();
	if (!ctl->json && !ctl->no_legend)
		(void)printf("%sheld: %zu\n", n_held ? "\n" : "", n_held);
	return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
