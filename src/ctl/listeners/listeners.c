/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl listeners: the table. What could not be looked at is "?", and reported; "-" means that there is nothing. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "../../util/device.h"
#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../complain.h"
#include "../out/grid.h"
#include "../out/json.h"
#include "picture.h"

/* A line of the table has no more than this many of a kind, and counts the others; JSON has all. */
#define WORDS_SHOWN 4

enum { PROTO, ADDRESS, SOCKET, PROCESS, PID, UNIT, SOCKET_UNIT, NAME, STATE, RULES, WANTED_BY };

static const struct column columns[] = {
	[PROTO] = {"PROTO"},
	[ADDRESS] = {"ADDRESS"},
	[SOCKET] = {"SOCKET"},
	[PROCESS] = {"PROCESS"},
	[PID] = {"PID", JSON_NUMBER},
	[UNIT] = {"UNIT"},
	[SOCKET_UNIT] = {"SOCKET_UNIT"},
	[NAME] = {"NAME"},
	[STATE] = {"STATE"},
	[RULES] = {"RULES"},
	[WANTED_BY] = {"WANTED_BY"},
};

#define CELL_MAX 512

static const char *format_address(const struct diag_socket *socket, char text[static ENDPOINT_TEXT_MAX])
{
	return device_endpoint_format(socket->family, socket->address, socket->port, socket->interface, text);
}

static const char *format_process(const struct picture_row *row)
{
	return row->owner.pid || *row->owner.name ? row->owner.name : NULL;
}

static const char *find_unit(const struct picture_row *row)
{
	return row->owner.pid > 1 && row->owner.unit && *row->owner.unit ? row->owner.unit : NULL;
}

/* "a,b,c,d+12" */
static const char *join(const struct picture_words *words, char text[static CELL_MAX])
{
	size_t n = words->n < WORDS_SHOWN ? words->n : WORDS_SHOWN, at = 0;

	if (!n)
		return NULL;
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, CELL_MAX - at, "%s%.100s", i ? "," : "", words->items[i]);
	if (words->n > n)
		(void)snprintf(text + at, CELL_MAX - at, "+%zu", words->n - n);
	return text;
}

static const char *cell(const struct picture *picture, size_t i, size_t column, char text[static CELL_MAX])
{
	const struct picture_row *row = &picture->rows[i];
	const struct diag_socket *socket = &picture->sockets[i];
	const char *unseen = picture_knows_owner(picture, i) ? NULL : "?";
	const char *unasked = picture->broker_unknown.error ? "?" : NULL;

	switch (column) {
	case PROTO:
		return protocol_word(socket->protocol);
	case ADDRESS:
		return format_address(socket, text);
	case SOCKET:
		(void)snprintf(text, CELL_MAX, "sk:%" PRIx64, socket->cookie);
		return text;
	case PROCESS:
		return unseen ? unseen : format_process(row);
	case PID:
		(void)snprintf(text, CELL_MAX, "%d", row->owner.pid);
		return unseen ? unseen : row->owner.pid ? text : NULL;
	case UNIT:
		return unseen ? unseen : find_unit(row);
	case SOCKET_UNIT:
		return row->unit_known ? row->socket_unit : "?";
	case NAME:
		return unasked ? unasked : join(&row->names, text);
	case STATE:
		return unasked ? unasked : row->state;
	case RULES:
		return unasked ? unasked : join(&row->rules, text);
	default:
		return picture->units_unknown.error ? "?" : join(&row->wanted_by, text);
	}
}

static int print_table(const struct ctl *ctl, const struct picture *picture)
{
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	char text[CELL_MAX];
	int r = grid_init(&grid, ctl, columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < picture->n && !r; i++) {
		r = grid_row(&grid);
		for (size_t column = 0; column < ARRAY_SIZE(columns) && !r; column++)
			r = grid_set(&grid, column, cell(picture, i, column, text));
	}
	if (!r)
		r = grid_print(&grid, "listeners");
	if (!r && !ctl->no_legend)
		(void)printf("%slisteners: %zu\n", picture->n ? "\n" : "", picture->n);
	return r;
}

static void print_words(struct json *json, const char *key, const struct picture_words *words, bool known)
{
	if (!known) {
		json_string(json, key, NULL);
		return;
	}
	json_open(json, key, '[');
	for (size_t i = 0; i < words->n; i++)
		json_string(json, NULL, words->items[i]);
	json_close(json, ']');
}

static void print_row(struct json *json, const struct picture *picture, size_t i)
{
	const struct picture_row *row = &picture->rows[i];
	const struct diag_socket *socket = &picture->sockets[i];
	bool owner = picture_knows_owner(picture, i), broker = !picture->broker_unknown.error,
	     units = !picture->units_unknown.error;
	char text[CELL_MAX], device[DEVICE_TEXT_MAX];

	json_open(json, NULL, '{');
	json_string(json, "proto", protocol_word(socket->protocol));
	(void)endpoint_format(socket->family, socket->address, socket->port, text);
	json_string(json, "address", text);
	json_string(json, "device", socket->interface ? device_format(socket->interface, device) : NULL);
	json_string(json, "socket", cell(picture, i, SOCKET, text));
	json_string(json, "process", owner ? format_process(row) : NULL);
	json_number(json, "pid", owner ? cell(picture, i, PID, text) : NULL);
	(void)snprintf(text, sizeof(text), "%u", socket->uid);
	json_number(json, "uid", text);
	json_string(json, "unit", owner ? find_unit(row) : NULL);
	json_string(json, "socket_unit", row->socket_unit);
	print_words(json, "names", &row->names, broker);
	json_string(json, "state", broker ? row->state : NULL);
	print_words(json, "rules", &row->rules, broker);
	print_words(json, "wanted_by", &row->wanted_by, units);
	json_bool(json, "complete", owner && broker && units && row->unit_known);
	json_close(json, '}');
}

static void print_json(const struct picture *picture)
{
	struct json json = JSON(stdout);

	json_open(&json, NULL, '{');
	json_open(&json, "listeners", '[');
	for (size_t i = 0; i < picture->n; i++)
		print_row(&json, picture, i);
	json_close(&json, ']');
	json_open(&json, "not_looked_at", '[');
	for (size_t i = 0; i < picture->n_notes; i++)
		json_string(&json, NULL, picture->notes[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

int verb_listeners(const struct ctl *ctl)
{
	_cleanup_(picture_deinit) struct picture picture = PICTURE_NULL;
	struct refusal refusal;
	int r = picture_take(ctl, &picture, &refusal);

	if (r == -ENOMEM)
		return complain_memory();
	if (r)
		return complain_refusal(r, &refusal, "cannot list what listens");
	if (ctl->json)
		print_json(&picture);
	else if (print_table(ctl, &picture) < 0)
		return complain_memory();
	for (size_t i = 0; i < picture.n_notes && !ctl->json; i++)
		complain("%s", picture.notes[i]);
	return EXIT_SUCCESS;
}
