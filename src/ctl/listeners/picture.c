/* SPDX-License-Identifier: BSD-3-Clause */
#include "picture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../scan/openers.h"
#include "../../util/array.h"
#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../ask.h"
#include "../host/socket_owner.h"
#include "../view/served.h"

void picture_deinit(struct picture *picture)
{
	for (size_t i = 0; picture->rows && i < picture->n; i++) {
		struct picture_row *row = &picture->rows[i];

		if (row->owner.pid)
			process_close(&row->owner);
		free(row->names.items);
		free(row->rules.items);
		free(row->wanted_by.items);
	}
	for (size_t i = 0; i < picture->n_notes; i++)
		free(picture->notes[i]);
	free(picture->rows);
	free(picture->sockets);
	seats_deinit(&picture->seats);
	settings_deinit(&picture->settings);
	socket_units_deinit(&picture->units);
}

__attribute__((format(printf, 2, 3))) static int add_note(struct picture *picture, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&picture->notes[picture->n_notes], format, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	picture->n_notes++;
	return 0;
}

static int add_word(struct picture_words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->items[i], word) == 0)
			return 0;
	if (ARRAY_RESERVE(words->items, words->n) < 0)
		return -ENOMEM;
	words->items[words->n++] = word;
	return 0;
}

/* ---- what is handed in, and what leads to it */

static int list_all(struct client *client, enum request_verb verb,
	int (*row)(struct client *client, void *userdata), void *userdata, struct refusal *refusal)
{
	struct writer writer;

	client_begin(&writer, verb);
	return ask(client, &writer, NULL, 0, row, userdata, refusal);
}

static int ask_broker(const struct ctl *ctl, struct picture *picture)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal *refusal = &picture->broker_unknown;
	int r = ask_open(&client, ctl, ASK_TIMEOUT_MS, refusal);

	if (!r)
		r = served_check_namespace(&client, refusal);
	if (!r)
		r = list_all(&client, REQUEST_LIST, seats_add_row, &picture->seats, refusal);
	if (!r)
		r = list_all(&client, REQUEST_RULES, settings_add_row, &picture->settings, refusal);
	if (!r)
		settings_sort(&picture->settings);
	refusal->error = r ? refusal->error ? refusal->error : EIO : 0;
	return r < 0 ? r : 0;
}

static bool leads_to(const struct setting *setting, const struct seat *seat)
{
	int family = AF_UNSPEC;

	if (!setting->prefix || strcmp(setting->protocol, seat->protocol) != 0)
		return false;
	(void)family_from_word(seat->family, &family);
	return strcmp(setting->prefix, "*") == 0 ||
	       (strchr(setting->prefix, ':') != NULL) == (family == AF_INET6);
}

/*
 * The matches of a seat, of which there may be a million: so nothing is compared with those that are there.
 * @again: those of the other family of the name are there already, and those for any address with them
 */
static int add_rules(
	const struct picture *picture, const struct seat *seat, bool again, struct picture_row *row)
{
	const struct settings *settings = &picture->settings;
	struct picture_words *rules = &row->rules;

	for (size_t i = settings_find(settings, seat->name);
		i < settings->n && strcmp(settings->items[i]->name, seat->name) == 0; i++) {
		const struct setting *setting = settings->items[i];

		if (!leads_to(setting, seat) || (again && strcmp(setting->prefix, "*") == 0))
			continue;
		if (ARRAY_RESERVE(rules->items, rules->n) < 0)
			return -ENOMEM;
		rules->items[rules->n++] = setting->value;
	}
	return 0;
}

static int find_places(
	const struct picture *picture, const struct diag_socket *socket, struct picture_row *row)
{
	size_t n_before;
	int r = 0;

	for (size_t i = 0; i < picture->seats.n && !r; i++) {
		const struct seat *seat = &picture->seats.items[i];

		for (size_t j = 0; j < seat->n_places && !r; j++) {
			const struct listed_place *place = seat->places[j];
			const char *cookie = place->fields[PLACE_COOKIE];

			if (!cookie || strtoull(cookie, NULL, 16) != socket->cookie)
				continue;
			if (!row->state || place_is(place, STATE_SERVING))
				row->state = place->fields[PLACE_STATE];
			n_before = row->names.n;
			r = add_word(&row->names, seat->name);
			if (!r)
				r = add_rules(picture, seat, row->names.n == n_before, row);
		}
	}
	return r;
}

/* ---- who has it open */

static int find_owners(struct picture *picture)
{
	_cleanup_(openers_deinit) struct openers openers = {};
	_cleanup_free_ struct process *owners = calloc(picture->n + 1, sizeof(*owners));
	int r;

	if (!owners)
		return -ENOMEM;
	for (size_t i = 0; i < picture->n; i++)
		owners[i] = PROCESS_NULL;
	r = socket_owner_find(picture->sockets, picture->n, 0, owners, &picture->all_owners);
	for (size_t i = 0; i < picture->n; i++)
		picture->rows[i].owner = owners[i];
	if (r < 0 || !picture->n)
		return r;
	r = openers_find_proc(picture->sockets, picture->n, 1, &openers);
	if (r == -ENOMEM)
		return r;
	picture->manager_seen = !r && !openers.n_unreadable;
	for (size_t i = 0; i < openers.n; i++)
		picture->rows[openers.items[i].socket].has_manager = true;
	return 0;
}

bool picture_knows_owner(const struct picture *picture, size_t i)
{
	const struct picture_row *row = &picture->rows[i];

	/* process 1 is named only if nobody else was seen, which says little if not everybody could be looked at */
	return (row->owner.pid && (row->owner.pid != 1 || picture->all_owners)) ||
	       socket_owner_is_absent(&picture->sockets[i], &row->owner);
}

/* ---- socket units */

/* Without a look at the descriptors of process 1, only the address says which socket is the unit's. */
static bool is_alone(const struct picture *picture, const struct socket_line *line)
{
	size_t n = 0;

	for (size_t i = 0; i < picture->n; i++)
		n += socket_line_is_at(line, &picture->sockets[i]);
	return n == 1;
}

static int find_units(const struct picture *picture, size_t i, struct picture_row *row)
{
	const struct diag_socket *socket = &picture->sockets[i];

	row->unit_known = !picture->units_unknown.error;
	for (size_t j = 0; j < picture->units.n; j++) {
		const struct socket_line *line = &picture->units.lines[j];

		if (line->active && socket_line_is_at(line, socket)) {
			if (picture->manager_seen ? row->has_manager
						  : socket->uid == 0 && is_alone(picture, line))
				row->socket_unit = line->unit;
			else if (!picture->manager_seen && socket->uid == 0)
				row->unit_known = false;
		} else if (!line->active && socket_line_wants(line, socket) &&
			   add_word(&row->wanted_by, line->unit) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static int note_unseen(struct picture *picture)
{
	const char *advice = geteuid() ? "; run as root" : "";
	bool owners = false, by_address = false;
	int r = 0;

	for (size_t i = 0; i < picture->n; i++) {
		owners = owners || !picture_knows_owner(picture, i);
		by_address = by_address || (!picture->manager_seen && (picture->rows[i].socket_unit ||
									      !picture->rows[i].unit_known));
	}
	if (picture->broker_unknown.error)
		r = add_note(picture, "what is handed in, and which rules lead to it, was not looked at: %s",
			picture->broker_unknown.text);
	if (!r && owners)
		r = add_note(picture,
			"the descriptors of some processes were not looked at, so not every socket has its process (EACCES)%s",
			advice);
	if (!r && picture->units_unknown.error)
		r = add_note(picture, "socket units were not looked at: %s", picture->units_unknown.text);
	else if (!r && by_address)
		r = add_note(picture,
			"the descriptors of the service manager were not looked at: SOCKET_UNIT is by the address alone (EACCES)%s",
			advice);
	return r;
}

int picture_take(const struct ctl *ctl, struct picture *picture, struct refusal *refusal)
{
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	int r;

	*picture = PICTURE_NULL;
	r = diag_dump(0, NULL, 0, &picture->sockets, &picture->n, refusal);
	if (r)
		return r;
	picture->rows = calloc(picture->n + 1, sizeof(*picture->rows));
	if (!picture->rows)
		return -ENOMEM;
	r = ask_broker(ctl, picture);
	if (!r)
		r = find_owners(picture);
	if (!r) {
		r = socket_units_read(&manager, &picture->units, &picture->units_unknown);
		if (r != REFUSED)
			picture->units_unknown.error = 0;
		r = r < 0 ? r : 0;
	}
	for (size_t i = 0; i < picture->n && !r; i++) {
		r = find_places(picture, &picture->sockets[i], &picture->rows[i]);
		if (!r)
			r = find_units(picture, i, &picture->rows[i]);
	}
	return r ? r : note_unseen(picture);
}
