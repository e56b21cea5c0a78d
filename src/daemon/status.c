/* SPDX-License-Identifier: BSD-3-Clause */

/* The request status: the health of the broker in one packet. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "../broker/lookout.h"
#include "../datapath/link.h"
#include "../datapath/loader.h"
#include "../datapath/obstacles.h"
#include "../rule/fault.h"
#include "../wire/protocol.h"
#include "footprint.h"
#include "request.h"

struct totals {
	size_t seats, places, names, sockets;
	struct usher_counters count;
	uint64_t refused_device, yielded;
};

static uint64_t sum_refused(const struct totals *totals)
{
	const struct usher_counters *count = &totals->count;

	return count->refused_family + count->refused_protocol + count->refused_state +
	       count->refused_exists + totals->refused_device + count->refused_other;
}

/* Clients that ask all the time make every system call count: sockets and names are counted as they come and go. */
static int add_up(struct registry *registry, struct totals *totals)
{
	int r;

	registry_foreach_seat (registry, seat)
		totals->seats++;
	registry_recount(registry);
	totals->places = census_places(registry->census);
	totals->names = census_names(registry->census);
	totals->sockets = census_sockets(registry->census);
	r = registry_sum_counters(registry, &totals->count);
	if (r >= 0)
		r = registry_sum_refused_device(registry, &totals->refused_device);
	return r < 0 ? r : registry_sum_yielded(registry, &totals->yielded);
}

/* How full the maps are: NAME:ENTRIES:MAXIMUM, separated by spaces. */
static void write_map_sizes(const struct generation *generation, const struct obstacles *obstacles,
	const struct totals *totals, struct writer *answer)
{
	/* number 0 is no seat */
	writer_put(answer, KEY_MAPS,
		"seats:%zu:%u places:%zu:%u prefixes4:%zu:%u prefixes6:%zu:%u obstacles:%zu:%u",
		totals->seats, USHER_SEATS_MAX - 1, totals->places, USHER_SEATS_MAX * USHER_PLACES_MAX,
		generation->n_prefixes4, IMAGE_PREFIXES_MAX, generation->n_prefixes6, IMAGE_PREFIXES_MAX,
		obstacles ? obstacles_count(obstacles) : 0, USHER_OBSTACLES_MAX);
}

#define UNCOUNTED_MAX 16

/* Ports at which rules with a later order take nothing, since not all sockets of others are counted */
static void write_uncounted(const struct broker *broker, struct writer *answer)
{
	static const char *const tables[USHER_TABLES] = {[USHER_TABLE_TCP4] = "tcp:ipv4",
		[USHER_TABLE_UDP4] = "udp:ipv4",
		[USHER_TABLE_TCP6] = "tcp:ipv6",
		[USHER_TABLE_UDP6] = "udp:ipv6"};
	const struct obstacles *obstacles = lookout_obstacles(broker);
	const char *reason = lookout_blindness(broker);
	const uint32_t end = USHER_TABLES * USHER_PORTS;
	char text[UNCOUNTED_MAX * 16 + 8] = "";
	size_t length = 0, n = 0;

	if (reason) {
		writer_put(answer, KEY_BLIND, "%.500s", reason);
		return;
	}
	if (!obstacles)
		return;
	for (uint32_t at = obstacles_next_lost(obstacles, 0); at < end;
		at = obstacles_next_lost(obstacles, at + 1)) {
		if (n++ == UNCOUNTED_MAX) {
			length += (size_t)snprintf(text + length, sizeof(text) - length, " ...");
			break;
		}
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s:%u", n > 1 ? " " : "",
			tables[at / USHER_PORTS], at % USHER_PORTS);
	}
	if (n)
		writer_put(answer, KEY_UNCOUNTED, "%s", text);
}

int request_status(struct usherd *usherd, const struct identity *asker, struct writer *answer)
{
	struct broker *broker = &usherd->broker;
	const struct generation *generation = broker->generation;
	int programs = loader_count_programs(broker->netns);
	struct totals totals = {0};
	struct link_info link;
	int r;

	r = add_up(&broker->registry, &totals);
	if (r < 0)
		return r;
	r = link_read_info(broker->link, &link);
	if (r < 0)
		return r;
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_VERSION, "%s", USHER_VERSION);
	writer_put(answer, KEY_PROTOCOL, "%u", PROTOCOL_VERSION);
	writer_put(answer, KEY_SCHEMA, "%u", USHER_SCHEMA);
	writer_put(answer, KEY_INSTANCE, "%s", broker->instance_name);
	writer_put(answer, KEY_PID, "%d", (int)getpid());
	writer_put(answer, KEY_STARTED, "%" PRIu64, usherd->started);
	writer_put(answer, KEY_GENERATION, "%" PRIu64, generation->number);
	writer_put(answer, KEY_APPLIED, "%" PRIu64, generation->applied);
	writer_put(answer, KEY_RULES, "%zu", generation->rules->n_rules);
	writer_put(answer, KEY_MATCHES, "%zu", generation->n_matches);
	writer_put(answer, KEY_NAMES, "%zu", totals.names);
	writer_put(answer, KEY_SOCKETS, "%zu", totals.sockets);
	writer_put(answer, KEY_HELD, "%zu", holder_count(broker->holder));
	writer_put(answer, KEY_LOOKUPS, "%" PRIu64, (uint64_t)totals.count.lookups);
	writer_put(answer, KEY_MISSING, "%" PRIu64, (uint64_t)totals.count.missing);
	writer_put(answer, KEY_REFUSED, "%" PRIu64, sum_refused(&totals));
	writer_put(answer, KEY_YIELDED, "%" PRIu64, totals.yielded);
	writer_put(answer, KEY_EVENTS_LOST, "%" PRIu64, (uint64_t)totals.count.events_lost);
	writer_put(answer, KEY_PROGRAM, "%u", link.program_id);
	writer_put(answer, KEY_LINK, "%u", link.id);
	writer_put(answer, KEY_NETNS, "%u", link.netns);
	if (programs >= 0)
		writer_put(answer, KEY_PROGRAMS, "%d", programs);
	writer_put(answer, KEY_RELOAD, "%s", reload_word(broker->reload_failure ? RELOAD_FAILED : RELOAD_OK));
	if (broker->reload_failure)
		writer_put(answer, KEY_RELOAD_REASON, "%.1000s", broker->reload_failure);
	if (generation->rules->n_faults) {
		writer_put(answer, KEY_FAULTS, "%zu", generation->rules->n_faults);
		writer_put(answer, KEY_FAULT, "%.1000s", generation->rules->faults[0].text);
	}
	write_uncounted(broker, answer);
	write_map_sizes(generation, lookout_obstacles(broker), &totals, answer);
	tally_write(&usherd->tally, answer);
	refusals_write(refusals_find(&usherd->refusals, generation, NULL, asker), answer);
	writer_put(answer, KEY_SESSIONS, "%zu", door_count(usherd->door));
	footprint_write(answer);
	return 0;
}
