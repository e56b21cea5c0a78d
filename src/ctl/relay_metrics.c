/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_metrics.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../tally/tally.h"
#include "../util/macro.h"

struct relay {
	const char *name;
	struct tally tally;
};

struct family {
	const char *name, *type, *unit, *help;
	const char *label; /* of its values; NULL: there is one value */
	struct {
		const char *word;
		size_t member;
	} values[10];
};

#define MEMBER(member) offsetof(struct tally, member)

static const struct family families[] = {
	{"usher_relay_connections", "gauge", NULL, "Connections of clients that are open", NULL,
		{{"", MEMBER(open)}}},
	{"usher_relay_accepted", "counter", NULL, "Clients accepted, since the relay started", NULL,
		{{"", MEMBER(accepted)}}},
	{"usher_relay_sessions", "gauge", NULL, "Sessions of UDP clients", NULL, {{"", MEMBER(sessions)}}},
	{"usher_relay_sessions_begun", "counter", NULL, "Sessions of UDP clients, since the relay started",
		NULL, {{"", MEMBER(sessions_begun)}}},
	{"usher_relay_bytes", "counter", "bytes", "Bytes relayed, since the relay started", "direction",
		{{"sent", MEMBER(sent)}, {"received", MEMBER(received)}}},
	{"usher_relay_datagrams", "counter", NULL, "Datagrams relayed or dropped, since the relay started",
		"result",
		{{"sent", MEMBER(datagrams_sent)}, {"received", MEMBER(datagrams_received)},
			{"dropped", MEMBER(datagrams_dropped)}}},
	{"usher_relay_ended", "counter", NULL,
		"Connections that ended otherwise than by both sides, since the relay started", "reason",
		{{"unreachable", MEMBER(unreachable)}, {"client", MEMBER(reset_by_client)},
			{"backend", MEMBER(reset_by_backend)}, {"idle", MEMBER(idle)},
			{"half-closed", MEMBER(half_closed)}, {"header", MEMBER(bad_header)},
			{"memory", MEMBER(out_of_memory)}}},
	{"usher_relay_waits", "counter", NULL,
		"How often accepting stopped for a while, since the relay started", "reason",
		{{"connections", MEMBER(full)}, {"descriptors", MEMBER(no_descriptors)}}},
};

static uint64_t get(const struct tally *tally, size_t member)
{
	return *(const uint64_t *)((const char *)tally + member);
}

static void write_family(
	struct openmetrics *metrics, const struct family *family, const struct relay *relays, size_t n)
{
	openmetrics_family(metrics, family->name, family->type, family->unit, family->help);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; family->values[k].word; k++)
			openmetrics_count(metrics, get(&relays[i].tally, family->values[k].member), "name",
				relays[i].name, family->label, family->values[k].word, NULL);
}

int relay_metrics_write(struct openmetrics *metrics, const struct seats *seats)
{
	_cleanup_free_ struct relay *relays = calloc(seats->n + 1, sizeof(*relays));
	size_t n = 0;

	if (!relays)
		return -ENOMEM;
	for (size_t i = 0; i < seats->n; i++) {
		const char *name = seats->items[i].name;

		/* a name has several seats, one after the other */
		if (i && !strcmp(name, seats->items[i - 1].name))
			continue;
		relays[n].name = name;
		n += tally_read(name, &relays[n].tally);
	}
	for (size_t i = 0; n && i < ARRAY_SIZE(families); i++)
		write_family(metrics, &families[i], relays, n);
	return 0;
}
