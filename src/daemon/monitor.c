/* SPDX-License-Identifier: BSD-3-Clause */
#include "monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../broker/broker.h"
#include "../observe/observe.h"
#include "../util/address.h"
#include "../util/clock.h"
#include "../util/transport.h"
#include "../wire/names.h"

/* The most bytes of a text that may have any length, as in the journal */
#define WORD_MAX 640

struct subscriber {
	struct monitor *monitor;
	struct session *session;
	struct subscriber *next;
	uint64_t wanted; /* kinds, a bit each */
	uint64_t at;	 /* number of the next wanted row; n_rows: there is none */
	uint64_t lost;	 /* wanted rows before it that were dropped */
	bool greeted;
};

struct monitor {
	struct subscriber *first;
	unsigned n_subscribers;
	char *rows[MONITOR_EVENTS]; /* number N is at N % MONITOR_EVENTS */
	enum observe_kind kinds[MONITOR_EVENTS];
	uint64_t n_rows; /* so far */
};

_Static_assert(OBSERVE_KINDS <= 64, "a kind is a bit of struct subscriber, wanted");

/* ---- rows */

static void put_word(struct writer *row, enum message_key key, const char *word)
{
	if (word && *word)
		writer_put(row, key, "%.*s", WORD_MAX, word);
}

static void put_addresses(struct writer *row, const struct observed *about)
{
	char text[ENDPOINT_TEXT_MAX];

	if (about->client) {
		writer_put(row, KEY_CLIENT, "%s",
			endpoint_format(about->address_family, about->client, about->client_port, text));
		writer_put(row, KEY_TARGET, "%s",
			endpoint_format(about->address_family, about->address, about->port, text));
	} else if (about->address) {
		writer_put(row, KEY_ADDRESS, "%s",
			endpoint_format(about->address_family, about->address, about->port, text));
	}
}

static void format_row(
	struct writer *row, enum observe_kind kind, const struct observed *about, const char *text)
{
	writer_put(row, KEY_ROW, "1");
	writer_put(row, KEY_EVENT, "%s", observe_word(kind));
	writer_put(row, KEY_TIME, "%" PRIu64, clock_realtime_usec());
	writer_put(row, KEY_TEXT, "%s", text);
	put_word(row, KEY_NAME, about->name);
	put_word(row, KEY_RULE, about->rule);
	if (about->protocol)
		writer_put(row, KEY_PROTOCOL, "%s", protocol_word(about->protocol));
	if (about->family)
		writer_put(row, KEY_FAMILY, "%s", family_word(about->family));
	put_addresses(row, about);
	put_word(row, KEY_DEVICE, about->device);
	if (about->cookie)
		writer_put(row, KEY_COOKIE, "%" PRIx64, about->cookie);
	if (about->pid > 0)
		writer_put(row, KEY_PID, "%d", (int)about->pid);
	if (about->by_client)
		writer_put(row, KEY_UID, "%u", about->uid);
	put_word(row, KEY_UNIT, about->unit);
	put_word(row, KEY_REASON, about->reason);
	if (about->error)
		writer_put(row, KEY_ERROR, "%d", about->error);
}

static bool add_event_row(struct monitor *monitor, enum observe_kind kind, const struct writer *row)
{
	char *text = strdup(row->text);

	if (!text)
		return false;
	monitor->kinds[monitor->n_rows % MONITOR_EVENTS] = kind;
	free(monitor->rows[monitor->n_rows % MONITOR_EVENTS]);
	monitor->rows[monitor->n_rows++ % MONITOR_EVENTS] = text;
	return true;
}

static bool wants_kind(const struct subscriber *subscriber, enum observe_kind kind)
{
	return subscriber->wanted >> kind & 1;
}

static void skip_unwanted(struct subscriber *subscriber)
{
	const struct monitor *monitor = subscriber->monitor;

	while (subscriber->at < monitor->n_rows &&
		!wants_kind(subscriber, monitor->kinds[subscriber->at % MONITOR_EVENTS]))
		subscriber->at++;
}

static void on_observed(
	enum observe_kind kind, const struct observed *about, const char *text, void *userdata)
{
	struct monitor *monitor = userdata;
	struct writer row = WRITER_NULL;
	bool added;

	format_row(&row, kind, about, text);
	added = add_event_row(monitor, kind, &row);
	for (struct subscriber *subscriber = monitor->first; subscriber; subscriber = subscriber->next) {
		if (!added) {
			subscriber->lost += wants_kind(subscriber, kind);
			continue;
		}
		if (monitor->n_rows - subscriber->at > MONITOR_EVENTS) {
			subscriber->at++;
			subscriber->lost++;
		}
		skip_unwanted(subscriber);
		if (wants_kind(subscriber, kind))
			session_wake(subscriber->session);
	}
}

/* ---- subscribers */

static bool subscriber_is_ready(void *state)
{
	const struct subscriber *subscriber = state;

	return !subscriber->greeted || subscriber->at < subscriber->monitor->n_rows;
}

static bool subscriber_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct subscriber *subscriber = state;
	const char *row;

	(void)fds;
	(void)n_fds;
	if (!subscriber->greeted) {
		subscriber->greeted = true;
		writer_put(packet, KEY_ROW, "1");
		writer_put(packet, KEY_EVENT, "subscribed");
		writer_put(packet, KEY_TIME, "%" PRIu64, clock_realtime_usec());
		writer_put(packet, KEY_TEXT, "events from now on follow");
		return true;
	}
	row = subscriber->monitor->rows[subscriber->at++ % MONITOR_EVENTS];
	skip_unwanted(subscriber);
	packet->size = strlen(row);
	memcpy(packet->text, row, packet->size + 1);
	if (subscriber->lost)
		writer_put(packet, KEY_LOST, "%" PRIu64, subscriber->lost);
	subscriber->lost = 0;
	return true;
}

static void clear(struct monitor *monitor)
{
	for (size_t i = 0; i < MONITOR_EVENTS; i++)
		free(TAKE_PTR(monitor->rows[i]));
}

static void subscriber_release(void *state)
{
	struct subscriber *subscriber = state, **at = &subscriber->monitor->first;
	struct monitor *monitor = subscriber->monitor;

	while (*at != subscriber)
		at = &(*at)->next;
	*at = subscriber->next;
	free(subscriber);
	if (--monitor->n_subscribers)
		return;
	observe_listen(NULL, NULL);
	clear(monitor);
}

static int read_wanted(const char *words, uint64_t *ret, struct refusal *refusal)
{
	uint64_t wanted = words ? 0 : UINT64_MAX;
	char word[32];

	while (names_next(&words, word, sizeof(word))) {
		enum observe_kind kind;

		if (!observe_from_word(word, &kind))
			return refuse(refusal, EINVAL,
				"there is no event '%s' (EINVAL); EVENTS= takes words such as 'gone', separated by colons",
				word);
		wanted |= UINT64_C(1) << kind;
	}
	*ret = wanted;
	return 0;
}

int monitor_subscribe(struct monitor *monitor, struct session *session, const char *events,
	struct answer_source *answer, struct refusal *refusal)
{
	struct subscriber *subscriber;
	uint64_t wanted = 0;
	int r;

	r = read_wanted(events, &wanted, refusal);
	if (r)
		return r;
	if (monitor->n_subscribers == MONITOR_SUBSCRIBERS_MAX)
		return refuse(refusal, EUSERS,
			"%u connections are subscribed to events, the most there may be (EUSERS); close some",
			MONITOR_SUBSCRIBERS_MAX);
	subscriber = calloc(1, sizeof(*subscriber));
	if (!subscriber)
		return -ENOMEM;
	*subscriber = (struct subscriber){.monitor = monitor,
		.session = session,
		.next = monitor->first,
		.wanted = wanted,
		.at = monitor->n_rows};
	monitor->first = subscriber;
	monitor->n_subscribers++;
	observe_listen(on_observed, monitor);
	*answer = (struct answer_source){
		.next = subscriber_next,
		.release = subscriber_release,
		.is_ready = subscriber_is_ready,
		.state = subscriber,
	};
	return 0;
}

struct monitor *monitor_new(void)
{
	return calloc(1, sizeof(struct monitor));
}

struct monitor *monitor_free(struct monitor *monitor)
{
	free(monitor);
	return NULL;
}
