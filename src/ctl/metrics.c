/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl metrics: everything that the broker and the kernel count, for a monitoring system */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/openmetrics.h"
#include "relay_metrics.h"
#include "view/seats.h"

#define SINCE_START ", since the broker started"
#define SECONDS(number, digits) openmetrics_seconds((number), (digits), (char[OPENMETRICS_TEXT_MAX]){0})

/* ---- seats */

static void write_seat_counters(struct openmetrics *metrics, const struct seats *seats)
{
	static const struct {
		const char *name, *help;
		enum seat_counter counter;
	} families[] = {
		{"usher_lookups",
			"Packets that a rule sent to the seat; this is not the number of connections",
			SEAT_LOOKUPS},
		{"usher_missing", "Packets that found no socket in the seat", SEAT_MISSING},
		{"usher_yielded",
			"Packets that the rule of the seat left to sockets of others (Order=before-wildcard, Order=last)",
			SEAT_YIELDED},
		{"usher_events_lost", "Events of the seat that were lost because the ring buffer was full",
			SEAT_EVENTS_LOST},
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		openmetrics_family(metrics, families[i].name, "counter", NULL, families[i].help);
		for (size_t k = 0; k < seats->n; k++) {
			const struct seat *seat = &seats->items[k];

			openmetrics_count(metrics, seat->counters[families[i].counter], "name", seat->name,
				"protocol", seat->protocol, "family", seat->family, NULL);
		}
	}
}

static void write_refused(struct openmetrics *metrics, const struct seats *seats)
{
	static const struct {
		const char *word;
		enum seat_counter counter;
	} reasons[] = {
		{"family", SEAT_REFUSED_FAMILY},
		{"protocol", SEAT_REFUSED_PROTOCOL},
		{"state", SEAT_REFUSED_STATE},
		{"exists", SEAT_REFUSED_EXISTS},
		{"device", SEAT_REFUSED_DEVICE},
		{"other", SEAT_REFUSED_OTHER},
	};

	openmetrics_family(metrics, "usher_refused", "counter", NULL,
		"Packets that a rule sent to the seat, but that the kernel gave to none of its sockets");
	for (size_t i = 0; i < seats->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(reasons); k++) {
			const struct seat *seat = &seats->items[i];

			openmetrics_count(metrics, seat->counters[reasons[k].counter], "name", seat->name,
				"protocol", seat->protocol, "family", seat->family, "reason", reasons[k].word,
				NULL);
		}
}

static uint64_t count_places(const struct seat *seat, enum seat_state state)
{
	uint64_t n = 0;

	for (size_t i = 0; i < seat->n_places; i++)
		n += place_is(seat->places[i], state);
	return n;
}

static void write_places(struct openmetrics *metrics, const struct seats *seats)
{
	static const enum seat_state states[] = {STATE_SERVING, STATE_STANDBY, STATE_EARLY};

	openmetrics_family(
		metrics, "usher_places", "gauge", NULL, "Sockets of the seat that a rule leads to");
	for (size_t i = 0; i < seats->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
			const struct seat *seat = &seats->items[i];

			openmetrics_count(metrics, count_places(seat, states[k]), "name", seat->name,
				"protocol", seat->protocol, "family", seat->family, "state",
				state_word(states[k]), NULL);
		}
}

static void write_states(struct openmetrics *metrics, const struct seats *seats)
{
	enum { SERVED, HELD, EMPTY, UNROUTED, N };
	static const char *const states[N] = {"served", "held", "empty", "unrouted"};
	uint64_t counts[N] = {0};

	for (size_t i = 0; i < seats->n; i++) {
		const struct seat *seat = &seats->items[i];
		const struct listed_place *first = seat->n_places ? seat->places[0] : NULL;

		if (!first)
			counts[EMPTY]++;
		else if (count_places(seat, STATE_UNROUTED))
			counts[UNROUTED]++;
		else
			counts[place_is_held(first) ? HELD : SERVED]++;
	}
	openmetrics_family(metrics, "usher_seats", "gauge", NULL,
		"Seats by state: served by a socket, served by a held socket, without a socket, without a rule");
	for (size_t i = 0; i < N; i++)
		openmetrics_count(metrics, counts[i], "state", states[i], NULL);
}

/* ---- status */

static const struct single {
	enum message_key key;
	const char *name, *type, *unit, *help;
	bool microseconds;
} singles[] = {
	{KEY_GENERATION, "usher_generation", "gauge", NULL,
		"Number of the rule set in force; survives the broker"},
	{KEY_APPLIED, "usher_generation_applied_timestamp_seconds", "gauge", "seconds",
		"When that rule set was put in force", true},
	{KEY_RULES, "usher_rules", "gauge", NULL, "Rules in force"},
	{KEY_MATCHES, "usher_matches", "gauge", NULL, "Matches of these rules"},
	{KEY_NAMES, "usher_names", "gauge", NULL, "Names with at least one live socket"},
	{KEY_SOCKETS, "usher_sockets", "gauge", NULL, "Live sockets, each counted once"},
	{KEY_HELD, "usher_held_sockets", "gauge", NULL, "Sockets that the broker keeps a duplicate of"},
	{KEY_PROGRAMS, "usher_programs", "gauge", NULL,
		"Programs of type sk_lookup in the network namespace"},
	{KEY_HAND_INS, "usher_hand_ins", "counter", NULL, "Hand-ins done" SINCE_START},
	{KEY_SESSIONS, "usher_sessions", "gauge", NULL,
		"Connections to the broker, including the one that asks"},
	{KEY_SLOW_TURNS, "usher_slow_turns", "counter", NULL,
		"Turns of the broker's event loop that took longer than 20 ms" SINCE_START},
	{KEY_FDS, "process_open_fds", "gauge", NULL, "Descriptors that the broker has open"},
	{KEY_FDS_MAX, "process_max_fds", "gauge", NULL, "Descriptors that the broker may have open"},
	{KEY_RESIDENT, "process_resident_memory_bytes", "gauge", "bytes", "Memory of the broker"},
	{KEY_CPU, "process_cpu_seconds", "counter", "seconds",
		"Time that the broker was on a CPU" SINCE_START, true},
	{KEY_STARTED, "process_start_time_seconds", "gauge", "seconds", "When the broker started", true},
};

static void write_singles(struct openmetrics *metrics, const struct client *client)
{
	for (size_t i = 0; i < ARRAY_SIZE(singles); i++) {
		const char *value = message_get(&client->message, singles[i].key);
		unsigned long number;

		if (!value || text_to_uint(value, ~0UL, &number) < 0)
			continue;
		openmetrics_family(
			metrics, singles[i].name, singles[i].type, singles[i].unit, singles[i].help);
		openmetrics_sample(metrics, singles[i].microseconds ? SECONDS(number, 6) : value, NULL);
	}
}

/* The lists of `status` are NAME:NUMBER or NAME:NUMBER:NUMBER, separated by spaces. */
struct item {
	char *name, *numbers[2];
};

static bool next_item(char **list, struct item *ret)
{
	char *word = strsep(list, " ");

	if (!word)
		return false;
	ret->name = strsep(&word, ":");
	ret->numbers[0] = strsep(&word, ":");
	ret->numbers[1] = strsep(&word, ":");
	return true;
}

static int write_list(struct openmetrics *metrics, const struct client *client, enum message_key key,
	void (*write)(struct openmetrics *metrics, const struct item *item))
{
	_cleanup_free_ char *copy = strdup(ask_value(client, key, ""));
	char *list = copy;
	struct item item;

	if (!copy)
		return -ENOMEM;
	while (next_item(&list, &item))
		write(metrics, &item);
	return 0;
}

static void write_reason(struct openmetrics *metrics, const struct item *item)
{
	openmetrics_sample(metrics, item->numbers[0], "reason", item->name, NULL);
}

static void write_bucket(struct openmetrics *metrics, const struct item *item)
{
	unsigned long bound;

	if (text_to_uint(item->name, ~0UL, &bound) == 0) {
		metrics->suffix = "_bucket";
		openmetrics_sample(metrics, item->numbers[0], "le", SECONDS(bound, 6), NULL);
	} else if (strcmp(item->name, "inf") == 0) {
		metrics->suffix = "_bucket";
		openmetrics_sample(metrics, item->numbers[0], "le", "+Inf", NULL);
		metrics->suffix = "_count";
		openmetrics_sample(metrics, item->numbers[0], NULL);
	}
}

static int write_hand_ins(struct openmetrics *metrics, const struct client *client)
{
	unsigned long nsec;
	int r;

	openmetrics_family(
		metrics, "usher_hand_ins_refused", "counter", NULL, "Hand-ins refused, by errno" SINCE_START);
	r = write_list(metrics, client, KEY_HAND_INS_REFUSED, write_reason);
	if (r || text_to_uint(ask_value(client, KEY_HAND_IN_NSEC, ""), ~0UL, &nsec) < 0)
		return r;
	openmetrics_family(metrics, "usher_hand_in_duration_seconds", "histogram", "seconds",
		"Time from the packet of a hand-in to the answer, accepted or refused" SINCE_START);
	r = write_list(metrics, client, KEY_HAND_IN_TIMES, write_bucket);
	metrics->suffix = "_sum";
	openmetrics_sample(metrics, SECONDS(nsec, 9), NULL);
	return r;
}

static void write_entries(struct openmetrics *metrics, const struct item *item)
{
	openmetrics_sample(metrics, item->numbers[0], "map", item->name, NULL);
}

static void write_most(struct openmetrics *metrics, const struct item *item)
{
	openmetrics_sample(metrics, item->numbers[1], "map", item->name, NULL);
}

static int write_maps(struct openmetrics *metrics, const struct client *client)
{
	int r;

	openmetrics_family(metrics, "usher_map_entries", "gauge", NULL, "Entries of a BPF map in use");
	r = write_list(metrics, client, KEY_MAPS, write_entries);
	if (r)
		return r;
	openmetrics_family(metrics, "usher_map_max_entries", "gauge", NULL,
		"Maximum number of entries; prefixes4 and prefixes6 share it");
	return write_list(metrics, client, KEY_MAPS, write_most);
}

static int write_status(struct openmetrics *metrics, const struct client *client)
{
	int r;

	openmetrics_family(metrics, "usher_info", "gauge", NULL, "Versions and instance of the broker");
	openmetrics_sample(metrics, "1", "version", ask_value(client, KEY_VERSION, ""), "protocol",
		ask_value(client, KEY_PROTOCOL, ""), "schema", ask_value(client, KEY_SCHEMA, ""), "instance",
		ask_value(client, KEY_INSTANCE, ""), NULL);
	openmetrics_family(metrics, "usher_attached", "gauge", NULL,
		"Whether the program is attached to the network namespace");
	openmetrics_sample(metrics, strcmp(ask_value(client, KEY_NETNS, "0"), "0") ? "1" : "0", NULL);
	write_singles(metrics, client);
	openmetrics_family(metrics, "usher_reloads", "counter", NULL, "Reloads by their outcome" SINCE_START);
	openmetrics_sample(
		metrics, ask_value(client, KEY_RELOADS, ""), "result", reload_word(RELOAD_OK), NULL);
	openmetrics_sample(metrics, ask_value(client, KEY_RELOADS_FAILED, ""), "result",
		reload_word(RELOAD_FAILED), NULL);
	r = write_hand_ins(metrics, client);
	return r ? r : write_maps(metrics, client);
}

static void write_up(struct openmetrics *metrics, const char *value)
{
	openmetrics_family(metrics, "usher_up", "gauge", NULL, "Whether the broker answers");
	openmetrics_sample(metrics, value, NULL);
}

int verb_metrics(const struct ctl *ctl)
{
	static const char what[] = "cannot ask for the metrics";
	struct openmetrics metrics = {.out = stdout, .broker = ctl->instance_name};
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_(seats_deinit) struct seats seats = SEATS_NULL;
	struct writer request;
	struct refusal refusal;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT) {
		write_up(&metrics, "0");
		openmetrics_end(&metrics);
		return complain_refusal(r, &refusal, "%s", what);
	}
	client_begin(&request, REQUEST_LIST);
	if (!r)
		r = ask(&client, &request, NULL, 0, seats_add_row, &seats, &refusal);
	client_begin(&request, REQUEST_STATUS);
	if (!r)
		r = ask(&client, &request, NULL, 0, NULL, NULL, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "%s", what);
	metrics.broker = ask_value(&client, KEY_INSTANCE, metrics.broker);
	write_up(&metrics, "1");
	r = write_status(&metrics, &client);
	if (r)
		return complain_memory();
	write_states(&metrics, &seats);
	write_seat_counters(&metrics, &seats);
	write_refused(&metrics, &seats);
	write_places(&metrics, &seats);
	if (relay_metrics_write(&metrics, &seats) < 0)
		return complain_memory();
	openmetrics_end(&metrics);
	return EXIT_SUCCESS;
}
