/* SPDX-License-Identifier: BSD-3-Clause */
#include "local_route.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* Where lo is in every network namespace */
#define LOOPBACK 1

/* Shorter ones are rules for much of the Internet, which is no reason to make that local. */
static bool is_wide(const struct prefix *prefix)
{
	return prefix->length < (prefix->family == AF_INET ? 16 : 32);
}

static bool is_within(const struct prefix *inner, const struct prefix *outer)
{
	return inner->length >= outer->length && prefix_contains(outer, inner->family, inner->address);
}

static const char *device_name(uint32_t device, char name[static IF_NAMESIZE])
{
	return device && if_indextoname(device, name) ? name : "no device";
}

/* ---- what is in a prefix */

/* A route to others, or that keeps packets from them; not the default route. */
static bool is_to_others(const struct route_entry *entry)
{
	switch (entry->type) {
	case RTN_UNICAST:
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
	case RTN_THROW:
		return entry->prefix.length && entry->device != LOOPBACK;
	default:
		return false;
	}
}

static bool is_link_local(const struct prefix *prefix)
{
	return prefix->family == AF_INET6 && prefix->address[0] == 0xfe &&
	       (prefix->address[1] & 0xc0) == 0x80;
}

static const char *describe_route(const struct route_entry *entry, char text[static OBSTACLE_TEXT_MAX])
{
	char prefix[PREFIX_TEXT_MAX], gateway[INET6_ADDRSTRLEN], device[IF_NAMESIZE];

	(void)prefix_format(&entry->prefix, prefix);
	if (entry->gateway_family)
		(void)snprintf(text, OBSTACLE_TEXT_MAX, "the route to %s by the gateway %s", prefix,
			address_format(entry->gateway_family, entry->gateway, gateway));
	else if (entry->type == RTN_UNICAST)
		(void)snprintf(text, OBSTACLE_TEXT_MAX, "the network %s of %s", prefix,
			device_name(entry->device, device));
	else
		(void)snprintf(text, OBSTACLE_TEXT_MAX, "the route to %s, which drops packets", prefix);
	return text;
}

/* The shortest one says most. */
static const struct route_entry *find_route(
	const struct routing *routing, const struct prefix *prefix, bool around)
{
	const struct route_entry *found = NULL;

	for (size_t i = 0; i < routing->n_routes; i++) {
		const struct route_entry *entry = &routing->routes[i];

		if (is_to_others(entry) && !is_link_local(&entry->prefix) &&
			(is_within(&entry->prefix, prefix) ||
				(around && is_within(prefix, &entry->prefix))) &&
			(!found || entry->prefix.length < found->prefix.length))
			found = entry;
	}
	return found;
}

static const char *find_gateway(
	const struct routing *routing, const struct prefix *prefix, char text[static OBSTACLE_TEXT_MAX])
{
	char gateway[INET6_ADDRSTRLEN], to[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < routing->n_routes; i++) {
		const struct route_entry *entry = &routing->routes[i];

		if (!entry->gateway_family || !prefix_contains(prefix, entry->gateway_family, entry->gateway))
			continue;
		(void)address_format(entry->gateway_family, entry->gateway, gateway);
		(void)snprintf(text, OBSTACLE_TEXT_MAX, "%s, the gateway of the route to %s", gateway,
			prefix_format(&entry->prefix, to));
		return text;
	}
	return NULL;
}

static const char *find_neighbour(
	const struct routing *routing, const struct prefix *prefix, char text[static OBSTACLE_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN], device[IF_NAMESIZE];

	for (size_t i = 0; i < routing->n_neighbours; i++) {
		const struct neighbour *neighbour = &routing->neighbours[i];

		if (!prefix_contains(prefix, neighbour->family, neighbour->address))
			continue;
		(void)snprintf(text, OBSTACLE_TEXT_MAX, "%s, a neighbour on %s",
			address_format(neighbour->family, neighbour->address, address),
			device_name(neighbour->device, device));
		return text;
	}
	return NULL;
}

/* @around: also a route to a larger prefix */
static const char *find_obstacle(const struct routing *routing, const struct prefix *prefix, bool around,
	char text[static OBSTACLE_TEXT_MAX])
{
	const struct route_entry *route = find_route(routing, prefix, around);

	if (prefix_is_address(prefix)) {
		const char *found = find_gateway(routing, prefix, text);

		if (!found)
			found = find_neighbour(routing, prefix, text);
		if (found)
			return found;
	}
	if (route)
		return describe_route(route, text);
	if (prefix_is_address(prefix))
		return NULL;
	if (find_gateway(routing, prefix, text))
		return text;
	return find_neighbour(routing, prefix, text);
}

const char *local_route_obstacle(
	const struct routing *routing, const struct prefix *prefix, char text[static OBSTACLE_TEXT_MAX])
{
	/* an address may be local within a network, if nobody else has it */
	return find_obstacle(routing, prefix, !prefix_is_address(prefix), text);
}

const char *local_route_taken(
	const struct routing *routing, const struct route_entry *entry, char text[static OBSTACLE_TEXT_MAX])
{
	if (entry->type != RTN_LOCAL || entry->protocol == RTPROT_KERNEL)
		return NULL;
	return find_obstacle(routing, &entry->prefix, false, text);
}

/* ---- advice */

/* The device at whose network an address is, if the network is not behind a gateway; 0: none */
static uint32_t find_network(const struct routing *routing, const struct prefix *prefix)
{
	const struct route_entry *best = NULL;

	for (size_t i = 0; i < routing->n_routes; i++) {
		const struct route_entry *entry = &routing->routes[i];

		if (is_to_others(entry) && is_within(prefix, &entry->prefix) &&
			(!best || entry->prefix.length > best->prefix.length))
			best = entry;
	}
	return best && best->type == RTN_UNICAST && !best->gateway_family ? best->device : 0;
}

static void advise_address(const struct routing *routing, const struct prefix *prefix, const char *whole,
	struct local_advice *ret)
{
	char obstacle[OBSTACLE_TEXT_MAX], text[PREFIX_TEXT_MAX], device[IF_NAMESIZE];
	uint32_t network = find_network(routing, prefix);

	(void)prefix_format(prefix, text);
	if (local_route_obstacle(routing, prefix, obstacle)) {
		(void)snprintf(ret->text, sizeof(ret->text),
			"do not make it local: that would take %s; if this host should serve it, change that first",
			obstacle);
		return;
	}
	if (network)
		(void)snprintf(ret->text, sizeof(ret->text),
			"if no other host on %s has this address, make it local until the next boot%s:",
			device_name(network, device), whole);
	else
		(void)snprintf(ret->text, sizeof(ret->text),
			"make this address local until the next boot%s:", whole);
	/* neighbours find an IPv6 address only if an interface has it */
	if (network && prefix->family == AF_INET6)
		(void)snprintf(ret->command, sizeof(ret->command), "ip address add %s dev %s", text, device);
	else
		(void)snprintf(ret->command, sizeof(ret->command), "ip route add local %s dev lo", text);
}

void local_route_advise(const struct routing *routing, const struct prefix *prefix, int family,
	const uint8_t *address, struct local_advice *ret)
{
	char obstacle[OBSTACLE_TEXT_MAX], text[PREFIX_TEXT_MAX], whole[OBSTACLE_TEXT_MAX + 128] = "";
	static const struct routing nothing;
	struct prefix alone = {.family = (uint8_t)family, .length = (uint8_t)address_bits(family)};
	bool blocked = false;

	*ret = (struct local_advice){};
	if (prefix && prefix->family == AF_UNSPEC)
		prefix = NULL;
	if (prefix && prefix_is_address(prefix))
		address = prefix->address;
	if (prefix && !prefix_is_address(prefix) && !is_wide(prefix)) {
		blocked = !routing || local_route_obstacle(routing, prefix, obstacle);
		(void)prefix_format(prefix, text);
		if (!blocked) {
			(void)snprintf(ret->text, sizeof(ret->text), "make it local until the next boot:");
			(void)snprintf(
				ret->command, sizeof(ret->command), "ip route add local %s dev lo", text);
			return;
		}
		if (routing)
			(void)snprintf(whole, sizeof(whole), ", but not all of %s, which would take %s", text,
				obstacle);
	}
	if (address) {
		memcpy(alone.address, address, address_size(family));
		advise_address(routing ? routing : &nothing, &alone, whole, ret);
	} else
		(void)snprintf(ret->text, sizeof(ret->text),
			"make those addresses local that clients use, one by one%s; 'usherctl explain' shows the command for each",
			whole);
}
