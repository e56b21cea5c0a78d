/* SPDX-License-Identifier: BSD-3-Clause */

/* The request status: the health of the broker in one packet. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../datapath/link.h"
#include "../util/macro.h"
#include "../wire/protocol.h"
#include "request.h"

struct totals {
	size_t names, sockets;
	uint64_t lookups, missing, refused, events_lost;
};

static void add_counters(struct totals *totals, const struct registry *registry, uint32_t seat)
{
	struct usher_counters count;

	if (registry_read_counters(registry, seat, &count) < 0)
		return;
	totals->lookups += count.lookups;
	totals->missing += count.missing;
	totals->refused += count.refused_family + count.refused_protocol + count.refused_state +
			   count.refused_exists + count.refused_other;
	totals->events_lost += count.events_lost;
}

static int compare_cookies(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A socket counts once, though it may sit in two seats or under several names. */
static size_t count_distinct(uint64_t *cookies, size_t n)
{
	size_t distinct = 0;

	qsort(cookies, n, sizeof(*cookies), compare_cookies);
	for (size_t i = 0; i < n; i++)
		distinct += !i || cookies[i] != cookies[i - 1];
	return distinct;
}

static int add_up(const struct registry *registry, struct totals *totals)
{
	_cleanup_free_ uint64_t *cookies = NULL;
	_cleanup_free_ uint32_t *seats = NULL;
	const char *last = NULL;
	size_t n_seats, n = 0;
	int r;

	r = registry_sort_seats(registry, NULL, &seats, &n_seats);
	if (r < 0)
		return r;
	cookies = calloc(n_seats * USHER_PLACES_MAX + 1, sizeof(*cookies));
	if (!cookies)
		return -ENOMEM;
	for (size_t i = 0; i < n_seats; i++) {
		const char *name = registry->seats[seats[i]].name;
		struct registry_place places[USHER_PLACES_MAX];
		unsigned n_places = registry_read_places(registry, seats[i], places);

		add_counters(totals, registry, seats[i]);
		for (unsigned k = 0; k < n_places; k++)
			cookies[n++] = places[k].data.cookie;
		if (!n_places || (last && !strcmp(last, name)))
			continue;
		totals->names++;
		last = name;
	}
	totals->sockets = count_distinct(cookies, n);
	return 0;
}

int request_status(struct broker *broker, struct writer *answer)
{
	const struct generation *generation = broker->generation;
	int programs = link_count_programs(broker->netns);
	struct totals totals = {0};
	struct link_info link;
	int r;

	r = add_up(&broker->registry, &totals);
	if (r < 0)
		return r;
	r = link_read_info(broker->link, &link);
	if (r < 0)
		return r;
	writer_put(answer, "OK", "1");
	writer_put(answer, "VERSION", "%s", USHER_VERSION);
	writer_put(answer, "PROTOCOL", "%u", PROTOCOL_VERSION);
	writer_put(answer, "SCHEMA", "%u", USHER_SCHEMA);
	writer_put(answer, "INSTANCE", "%s", broker->instance_name);
	writer_put(answer, "PID", "%d", (int)getpid());
	writer_put(answer, "STARTED", "%" PRIu64, broker->started);
	writer_put(answer, "GENERATION", "%" PRIu64, generation->number);
	writer_put(answer, "APPLIED", "%" PRIu64, generation->applied);
	writer_put(answer, "RULES", "%zu", generation->rules->n_rules);
	writer_put(answer, "MATCHES", "%zu", generation->n_matches);
	writer_put(answer, "NAMES", "%zu", totals.names);
	writer_put(answer, "SOCKETS", "%zu", totals.sockets);
	writer_put(answer, "HELD", "%zu", holder_count(broker->holder));
	writer_put(answer, "LOOKUPS", "%" PRIu64, totals.lookups);
	writer_put(answer, "MISSING", "%" PRIu64, totals.missing);
	writer_put(answer, "REFUSED", "%" PRIu64, totals.refused);
	writer_put(answer, "EVENTS_LOST", "%" PRIu64, totals.events_lost);
	writer_put(answer, "PROGRAM", "%u", link.program_id);
	writer_put(answer, "LINK", "%u", link.id);
	writer_put(answer, "NETNS", "%u", link.netns);
	if (programs >= 0)
		writer_put(answer, "PROGRAMS", "%d", programs);
	writer_put(answer, "RELOAD", "%s", broker->reload_failure ? "failed" : "ok");
	if (broker->reload_failure)
		writer_put(answer, "RELOAD_REASON", "%.1000s", broker->reload_failure);
	return 0;
}
