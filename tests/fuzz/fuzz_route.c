/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What rtnetlink answers
 *
 * The first byte says what is asked: the routes and neighbours, or one route. Then come datagrams: two bytes with the
 * size, and the datagram, which this process gives to the functions of libmnl that would receive it. What was read
 * answers questions without a crash.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl/host/local_route.h"
#include "ctl/host/route.h"
#include "ctl/host/routing.h"
#include "ctl/host/rtnetlink.h"
#include "util/address.h"
#include "util/text.h"
#include "netlink_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- questions */

static void check_outcome(int r, const struct refusal *refusal)
{
	assert(r == 0 || r == REFUSED || r == -ENOMEM);
	if (r == REFUSED)
		assert(*refusal->text && text_is_clean(refusal->text, strlen(refusal->text)));
}

static void check_text(const char *text)
{
	assert(!text || (*text && text_is_clean(text, strlen(text))));
}

static void check_entry(const struct routing *routing, const struct route_entry *entry)
{
	const struct prefix *prefix = &entry->prefix;
	char text[OBSTACLE_TEXT_MAX];
	struct local_advice advice;

	assert(prefix->family == AF_INET || prefix->family == AF_INET6);
	assert(prefix->length <= address_bits(prefix->family));
	assert(!entry->gateway_family || entry->gateway_family == AF_INET ||
		entry->gateway_family == AF_INET6);
	(void)routing_lookup(routing, entry->table, prefix->family, prefix->address);
	check_text(local_route_obstacle(routing, prefix, text));
	check_text(local_route_taken(routing, entry, text));
	local_route_advise(routing, prefix, prefix->family, prefix->address, &advice);
	check_text(advice.text);
	local_route_advise(routing, NULL, prefix->family, prefix->address, &advice);
	check_text(advice.text);
}

static void ask_all(void)
{
	struct routing routing;
	struct refusal refusal;
	int r = routing_read(&routing, &refusal);

	check_outcome(r, &refusal);
	for (size_t i = 0; i < routing.n_routes && i < 8; i++)
		check_entry(&routing, &routing.routes[i]);
	for (size_t i = 0; i < routing.n_neighbours; i++)
		assert(routing.neighbours[i].family == AF_INET || routing.neighbours[i].family == AF_INET6);
	routing_deinit(&routing);
}

static void ask_one(bool from_outside)
{
	static const uint8_t address[] = {192, 0, 2, 1};
	const struct route_question question = {
		.family = AF_INET, .destination = address, .device = from_outside ? 1 : 0};
	struct refusal refusal;
	enum route route;
	int r = route_ask(&question, &route, &refusal);

	check_outcome(r, &refusal);
	if (!r)
		assert(*route_word(route));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	netlink_input_set(data + 1, size - 1);
	if (data[0] % 4 < 2)
		ask_all();
	else
		ask_one(data[0] & 1);
	return 0;
}
