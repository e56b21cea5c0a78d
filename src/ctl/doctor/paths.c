/* SPDX-License-Identifier: BSD-3-Clause */

/* Whether packets reach the rules, and from which listeners the rules take them: routes, bypassed listeners */

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "../check/listeners.h"
#include "../host/local_route.h"
#include "../host/policy.h"
#include "../host/route.h"
#include "doctor.h"

/* ---- routes */

#define PREFIXES_MAX 64

struct prefixes {
	struct prefix items[PREFIXES_MAX];
	size_t n;
	bool all;
};

static void add_prefix(struct prefixes *prefixes, const struct prefix *prefix)
{
	/* a match of any address needs no particular one to be local */
	if (prefix->family == AF_UNSPEC || prefix->length == 0)
		return;
	for (size_t i = 0; i < prefixes->n; i++)
		if (memcmp(&prefixes->items[i], prefix, sizeof(*prefix)) == 0)
			return;
	if (prefixes->n == PREFIXES_MAX)
		prefixes->all = false;
	else
		prefixes->items[prefixes->n++] = *prefix;
}

static void collect_prefixes(const struct rule_set *set, struct prefixes *prefixes)
{
	*prefixes = (struct prefixes){.all = true};
	for (size_t i = 0; i < set->n_rules; i++)
		for (size_t j = 0; j < set->rules[i].n_matches && prefixes->all; j++)
			add_prefix(prefixes, &set->rules[i].matches[j].prefix);
}

/* The first address, the second, the last but one: the first and the last of a subnet may be broadcast addresses. */
static void sample(const struct prefix *prefix, unsigned number, uint8_t address[static 16])
{
	size_t bits = address_bits(prefix->family);

	memcpy(address, prefix->address, 16);
	if (prefix->length == bits || number == 0)
		return;
	if (number == 2)
		for (size_t bit = prefix->length; bit < bits - 1; bit++)
			address[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
	if (number == 1 || prefix->length == bits - 1)
		address[bits / 8 - 1] |= 1;
}

static bool has_interface_address(const struct prefix *prefix, const struct ifaddrs *addresses)
{
	for (; addresses; addresses = addresses->ifa_next) {
		const struct sockaddr *address = addresses->ifa_addr;

		if (address && address->sa_family == AF_INET &&
			prefix_contains(prefix, AF_INET,
				(const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr))
			return true;
		if (address && address->sa_family == AF_INET6 &&
			prefix_contains(prefix, AF_INET6,
				(const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr))
			return true;
	}
	return false;
}

/* @ret_route: when no address is local, the route of one of them. Return: 0 or REFUSED. */
static int is_local(const struct prefix *prefix, const struct ifaddrs *addresses, bool *ret,
	enum route *ret_route, struct refusal *refusal)
{
	*ret = has_interface_address(prefix, addresses);
	for (unsigned number = 0; number < 3 && !*ret; number++) {
		uint8_t address[16];
		int r;

		sample(prefix, number, address);
		r = route_find(prefix->family, address, ret_route, refusal);
		if (r)
			return r;
		*ret = *ret_route == ROUTE_LOCAL || *ret_route == ROUTE_MULTICAST;
	}
	return 0;
}

static void look_at_prefix(struct doctor *doctor, const struct prefix *prefix,
	const struct ifaddrs *addresses, const struct routing *routing)
{
	struct local_advice advice;
	char text[PREFIX_TEXT_MAX];
	struct refusal refusal;
	enum route route;
	bool local;

	(void)prefix_format(prefix, text);
	if (is_local(prefix, addresses, &local, &route, &refusal)) {
		doctor_found(doctor, REPORT_SKIP, "%s: %s", text, refusal.text);
		return;
	}
	if (local)
		return;
	local_route_advise(routing, prefix, prefix->family, NULL, &advice);
	doctor_found(doctor, REPORT_WARN,
		"a rule matches %s, but no address in it is local: packets to it %s", text,
		route == ROUTE_NONE ? "have no route" : "go to another host");
	doctor_remedy(doctor, "%s%s%s", advice.text, *advice.command ? " " : "", advice.command);
}

static void check_routes(struct doctor *doctor)
{
	_cleanup_(routing_deinit) struct routing routing = ROUTING_NULL;
	struct ifaddrs *addresses = NULL;
	struct prefixes prefixes;
	struct refusal refusal;
	bool known;
	size_t before = doctor->report.n;

	if (doctor_skips_unread(doctor) || doctor_skips_elsewhere(doctor))
		return;
	collect_prefixes(doctor->set, &prefixes);
	if (prefixes.n && getifaddrs(&addresses) < 0)
		addresses = NULL;
	known = prefixes.n && routing_read(&routing, &refusal) == 0;
	for (size_t i = 0; i < prefixes.n; i++)
		look_at_prefix(doctor, &prefixes.items[i], addresses, known ? &routing : NULL);
	if (addresses)
		freeifaddrs(addresses);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			prefixes.all
				? "every prefix in the rules has a local address; not every address of it was looked at"
				: "the first prefixes in the rules have a local address each");
	if (!prefixes.all)
		doctor_found(doctor, REPORT_SKIP,
			"only the first %d prefixes were looked at; ask '%s explain' about the others",
			PREFIXES_MAX, doctor->command);
}

/* ---- local routes that take too much */

static void look_at_local_route(
	struct doctor *doctor, const struct routing *routing, const struct route_entry *entry)
{
	char taken[OBSTACLE_TEXT_MAX], text[PREFIX_TEXT_MAX], device[IF_NAMESIZE] = "lo";

	if (!local_route_taken(routing, entry, taken))
		return;
	(void)prefix_format(&entry->prefix, text);
	(void)if_indextoname(entry->device, device);
	doctor_found(doctor, REPORT_WARN,
		"the local route %s takes %s: this host does not reach others there, and answers none of them",
		text, taken);
	doctor_remedy(doctor,
		"make only those addresses local that clients use, as 'usherctl explain' advises, then: ip route del local %s dev %s table %u",
		text, device, entry->table);
}

static void check_local_routes(struct doctor *doctor)
{
	_cleanup_(policy_deinit) struct policy policy4 = POLICY_NULL, policy6 = POLICY_NULL;
	_cleanup_(routing_deinit) struct routing routing = ROUTING_NULL;
	size_t before = doctor->report.n;
	struct refusal refusal;
	int r;

	if (doctor_skips_elsewhere(doctor))
		return;
	r = routing_read(&routing, &refusal);
	if (!r)
		r = policy_read(AF_INET, &policy4, &refusal);
	if (!r)
		r = policy_read(AF_INET6, &policy6, &refusal);
	if (r < 0)
		doctor->report.out_of_memory = true;
	else if (r)
		doctor_found(doctor, REPORT_SKIP, "%s", refusal.text);
	if (r)
		return;
	for (size_t i = 0; i < routing.n_routes; i++)
		if (!policy_spares_host(routing.routes[i].prefix.family == AF_INET6 ? &policy6 : &policy4,
			    &routing.routes[i]))
			look_at_local_route(doctor, &routing, &routing.routes[i]);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"no local route takes a network, a gateway or a neighbour of this host");
}

/* ---- bypassed listeners */

static void check_bypassed(struct doctor *doctor)
{
	_cleanup_(listeners_deinit) struct listeners listeners = {};
	const struct bypassed_list *list = &listeners.bypassed;
	char text[LISTENERS_TEXT_MAX];

	if (doctor_skips_unread(doctor) || doctor_skips_elsewhere(doctor))
		return;
	if (listeners_look(doctor->ctl, doctor->set, doctor->image, &listeners) < 0) {
		doctor->report.out_of_memory = true;
		return;
	}
	if (listeners.unknown.error) {
		doctor_found(doctor, REPORT_SKIP, "%s", listeners.unknown.text);
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		/* it cannot be handed in; the check mptcp reports it */
		if (list->items[i].socket->mptcp)
			continue;
		doctor_found(doctor, REPORT_WARN, "%s",
			listeners_describe(&list->items[i], &listeners.owners[i], text));
		doctor_remedy(doctor, "%s", listeners_remedy(&list->items[i], &listeners.owners[i], text));
	}
	if (list->n_all > list->n)
		doctor_found(doctor, REPORT_WARN, "rules take packets from %zu more listening sockets",
			list->n_all - list->n);
	if (!list->n_all)
		doctor_found(doctor, REPORT_OK,
			"no rule takes packets from a listening socket that is not handed in");
}

const struct check path_checks[] = {
	{"routes", check_routes},
	{"local-routes", check_local_routes},
	{"bypassed", check_bypassed},
	{},
};
