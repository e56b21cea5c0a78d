/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl list: the sockets of each seat, and the seats that have none */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tally/tally.h"
#include "../util/address.h"
#include "../util/array.h"
#include "../util/device.h"
#include "../util/macro.h"
#include "../util/netns.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "graph/graph.h"
#include "host/listening.h"
#include "out/grid.h"
#include "out/since.h"

/* As explain calls a socket that the program does not select. */
#define STATE_UNUSABLE "unusable"

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
	N_REFUSED_PARTS = 6,
	PLACE = REFUSED_PARTS + N_REFUSED_PARTS,
	DEVICE,
	UID,
	GID,
	VERIFIED,
	DUAL_STACK,
	DESTINATION,
	HANDED_IN,
	EVENTS_LOST,
	RELAYED,
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
	{"REFUSED_DEVICE", JSON_NUMBER, true},
	{"REFUSED_OTHER", JSON_NUMBER, true},
	[PLACE] = {"PLACE", JSON_NUMBER, true},
	[DEVICE] = {"DEVICE", .json_only = true},
	[UID] = {"UID", JSON_NUMBER, true},
	[GID] = {"GID", JSON_NUMBER, true},
	[VERIFIED] = {"VERIFIED", JSON_BOOL, true},
	[DUAL_STACK] = {"DUAL_STACK", JSON_BOOL, true},
	[DESTINATION] = {"DESTINATION", .json_only = true},
	[HANDED_IN] = {"HANDED_IN", JSON_NUMBER, true},
	[EVENTS_LOST] = {"EVENTS_LOST", JSON_NUMBER, true},
	[RELAYED] = {"RELAYED", JSON_NUMBER, true},
};

/* The key that each column shows. REFUSED_ALL is the sum of its parts, and RELAYED is what a relay says. */
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
	KEY_REFUSED_DEVICE,
	KEY_REFUSED_OTHER,
	[PLACE] = KEY_PLACE,
	[DEVICE] = KEY_DEVICE,
	[UID] = KEY_UID,
	[GID] = KEY_GID,
	[VERIFIED] = KEY_VERIFIED,
	[DUAL_STACK] = KEY_DUAL_STACK,
	[DESTINATION] = KEY_DESTINATION,
	[HANDED_IN] = KEY_HANDED_IN,
	[EVENTS_LOST] = KEY_EVENTS_LOST,
	[RELAYED] = KEY_NAME,
};

/* A row that is a socket */
struct listed_socket {
	struct libscols_line *line; /* of the grid */
	enum seat_state state;
	bool is_first; /* of its seat */
	char cookie[17];
};

struct listing {
	struct grid *grid;
	unsigned long n_sockets, n_missing;
	struct listed_socket *sockets; /* n_sockets of them */
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

static int note_socket(struct listing *listing, const struct client *client)
{
	struct listed_socket *listed;
	enum seat_state state = STATE_SERVING;

	if (ARRAY_RESERVE(listing->sockets, listing->n_sockets) < 0)
		return -ENOMEM;
	(void)state_from_word(message_get(&client->message, KEY_STATE), &state);
	listed = &listing->sockets[listing->n_sockets++];
	*listed = (struct listed_socket){
		.line = listing->grid->line,
		.state = state,
		.is_first = !strcmp(ask_value(client, KEY_PLACE, "1"), "1"),
	};
	(void)snprintf(listed->cookie, sizeof(listed->cookie), "%.16s", ask_value(client, KEY_COOKIE, ""));
	return 0;
}

/* In JSON, the device is a value of its own. */
static const char *format_address(const struct grid *grid, const char *endpoint, const char *device,
	char text[static ENDPOINT_TEXT_MAX])
{
	return grid->json ? endpoint : device_endpoint_join(endpoint, device, text);
}

/* The clients whom a relay serves now: its connections, and its sessions of UDP */
static const char *count_relayed(const struct grid *grid, const char *name, char text[static 32])
{
	struct tally tally;

	if (!grid->json || !name || !tally_read(name, &tally))
		return NULL;
	(void)snprintf(text, 32, "%" PRIu64, tally.open + tally.sessions);
	return text;
}

static int show_row(struct client *client, void *userdata)
{
	struct listing *listing = userdata;
	int r;

	r = grid_row(listing->grid);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(columns); i++) {
		const char *value = message_get(&client->message, keys[i]);
		char text[SINCE_TEXT_MAX], address[ENDPOINT_TEXT_MAX];

		if (i == SOCKET && value) {
			(void)snprintf(text, sizeof(text), "sk:%.32s", value);
			value = text;
		} else if (i == AGE) {
			value = since_age(value, text);
		} else if (i == REFUSED_ALL) {
			value = sum_refused_columns(client, text);
		} else if (i == RELAYED) {
			value = count_relayed(listing->grid, value, text);
		} else if (i == ADDRESS && value) {
			value = format_address(
				listing->grid, value, message_get(&client->message, KEY_DEVICE), address);
		}
		r = grid_set(listing->grid, i, value);
	}
	if (!message_get(&client->message, KEY_COOKIE))
		listing->n_missing++;
	else if (r == 0)
		r = note_socket(listing, client);
	return r;
}

/* ---- what the kernel says of the sockets that the broker lists */

/* The broker lists a socket as it was when it was handed in; the program gives packets to those that listen now. */
static int correct_row(struct listing *listing, const struct listed_socket *listed,
	const struct listening *listening, bool *served)
{
	const struct diag_socket *socket = listening_find(listening, listed->cookie);
	char text[ENDPOINT_TEXT_MAX], whole[ENDPOINT_TEXT_MAX], name[DEVICE_TEXT_MAX];
	const char *device;
	const uint8_t *address;
	int family, r;

	*served = *served && !listed->is_first;
	listing->grid->line = listed->line;
	if (listed->state == STATE_EARLY)
		return 0;
	if (!socket)
		return grid_set(listing->grid, STATE, STATE_UNUSABLE);
	if (listed->state != STATE_UNROUTED) {
		/* members of one SO_REUSEPORT group serve together */
		bool serves = !*served || listed->state == STATE_SERVING;

		r = grid_set(listing->grid, STATE, state_word(serves ? STATE_SERVING : STATE_STANDBY));
		if (r)
			return r;
	}
	*served = true;
	family = diag_address(socket, &address);
	device = socket->interface ? device_format(socket->interface, name) : NULL;
	(void)endpoint_format(family, address, socket->port, text);
	r = grid_set(listing->grid, ADDRESS, format_address(listing->grid, text, device, whole));
	if (r)
		return r;
	return device ? grid_set(listing->grid, DEVICE, device) : grid_clear(listing->grid, DEVICE);
}

static bool all_listen(const struct listing *listing, const struct listening *listening)
{
	for (size_t i = 0; i < listing->n_sockets; i++)
		if (!listening_find(listening, listing->sockets[i].cookie))
			return false;
	return true;
}

/* Whether the broker's sockets are in the network namespace that can be looked at from here. */
static bool is_same_network(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;

	if (ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal))
		return false;
	client_begin(&request, REQUEST_STATUS);
	return !ask(&client, &request, NULL, 0, NULL, NULL, &refusal) &&
	       !netns_is_other(strtoul(ask_value(&client, KEY_NETNS, "0"), NULL, 10));
}

/* Where the kernel cannot be asked, the rows stay as they are. */
static int correct_rows(const struct ctl *ctl, struct listing *listing)
{
	_cleanup_(listening_deinit) struct listening listening = LISTENING_NULL;
	struct refusal refusal;
	bool served = false;
	int r = 0;

	if (!listing->n_sockets || listening_read(&listening, &refusal) ||
		(!all_listen(listing, &listening) && !is_same_network(ctl)))
		return 0;
	for (size_t i = 0; i < listing->n_sockets && !r; i++)
		r = correct_row(listing, &listing->sockets[i], &listening, &served);
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
	if (!r && (correct_rows(ctl, &listing) < 0 || grid_print(&grid, "sockets") < 0))
		r = complain_memory();
	free(listing.sockets);
	if (r)
		return r;
	if (!ctl->json && !ctl->no_legend)
		(void)printf("%ssockets: %lu, missing: %lu\n",
			listing.n_sockets + listing.n_missing ? "\n" : "", listing.n_sockets,
			listing.n_missing);
	return EXIT_SUCCESS;
}
