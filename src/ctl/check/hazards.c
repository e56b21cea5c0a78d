/* SPDX-License-Identifier: BSD-3-Clause */
#include "hazards.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../../util/cleanup.h"
#include "../../util/transport.h"
#include "../complain.h"
#include "../host/local_ports.h"

static struct hazard *add(struct hazards *hazards, enum hazard_kind kind, const struct rule *rule,
	const struct rule_match *match)
{
	hazards->n_all++;
	if (hazards->n == HAZARDS_MAX)
		return NULL;
	hazards->items[hazards->n] = (struct hazard){.rule = rule, .match = match, .kind = kind};
	return &hazards->items[hazards->n++];
}

static const char *key_of(const struct rule_match *match)
{
	return match->protocol == IPPROTO_UDP ? "Datagram" : "Stream";
}

/* ---- matches that no packet reaches */

const char *hazards_match_never(const struct rule_match *match)
{
	static const uint8_t all[4] = {255, 255, 255, 255};
	const struct prefix *prefix = &match->prefix;

	if (prefix->family == AF_INET && prefix->length >= 4 &&
		address_is_multicast(AF_INET, prefix->address))
		return "multicast addresses";
	if (prefix->family == AF_INET6 && prefix->length >= 8 &&
		address_is_multicast(AF_INET6, prefix->address))
		return "multicast addresses";
	if (prefix_is_address(prefix) && address_is_any(prefix->family, prefix->address))
		return "the unspecified address";
	if (prefix_is_address(prefix) && address_is_same(AF_INET, prefix->address, all) &&
		prefix->family == AF_INET)
		return "the broadcast address";
	return NULL;
}

static uint32_t read_ipv4(const struct sockaddr *address)
{
	return address ? ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) : 0;
}

/*
 * Of a network of this host: the last address of each, and the one that was set for it. getifaddrs(3) gives the address
 * itself where none was set.
 */
static bool is_broadcast(const struct rule_match *match, const struct ifaddrs *addresses)
{
	uint32_t address;

	if (match->prefix.family != AF_INET || !prefix_is_address(&match->prefix))
		return false;
	memcpy(&address, match->prefix.address, sizeof(address));
	address = ntohl(address);
	for (; addresses; addresses = addresses->ifa_next) {
		uint32_t own, mask;

		if (!addresses->ifa_addr || addresses->ifa_addr->sa_family != AF_INET ||
			!(addresses->ifa_flags & IFF_BROADCAST))
			continue;
		own = read_ipv4(addresses->ifa_addr);
		mask = read_ipv4(addresses->ifa_netmask);
		if (address != own && (address == read_ipv4(addresses->ifa_broadaddr) ||
					      (~mask > 1 && address == (own | ~mask))))
			return true;
	}
	return false;
}

static void find_never(
	struct hazards *hazards, const struct rule *rule, const struct rule_match *match, const char *what)
{
	struct hazard *hazard = add(hazards, HAZARD_NEVER, rule, match);
	char text[RULE_MATCH_TEXT_MAX];
	bool unspecified = address_is_any(match->prefix.family, match->prefix.address);

	if (!hazard)
		return;
	(void)snprintf(hazard->text, sizeof(hazard->text),
		"'%s' never gets what %s=%s should match: the kernel applies no rule to %s", rule->name,
		key_of(match), rule_match_format_brief(match, text), what);
	if (unspecified)
		(void)snprintf(hazard->remedy, sizeof(hazard->remedy),
			"for any address write the port alone: %s=%s", key_of(match),
			rule_ports_format(match, text));
	else if (match->protocol == IPPROTO_TCP)
		(void)snprintf(hazard->remedy, sizeof(hazard->remedy),
			"remove the match: there is no TCP to several hosts");
	else
		(void)snprintf(hazard->remedy, sizeof(hazard->remedy),
			"remove the match, and have the service receive them with a socket that it binds to port %u itself",
			match->first);
}

/* ---- matches that take the answers to clients of this host */

/* An address that the host sends from; NULL: the match is for any address */
static bool find_own_address(const struct ifaddrs *addresses, const struct rule_match *match, char *text)
{
	for (; addresses; addresses = addresses->ifa_next) {
		const struct sockaddr *address = addresses->ifa_addr;
		const uint8_t *bytes = NULL;

		if (!address || addresses->ifa_flags & IFF_LOOPBACK)
			continue;
		if (address->sa_family == AF_INET)
			bytes = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
		else if (address->sa_family == AF_INET6)
			bytes = (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
		if (bytes && prefix_contains(&match->prefix, address->sa_family, bytes)) {
			(void)address_format(address->sa_family, bytes, text);
			return true;
		}
	}
	return false;
}

/* The ports of a match that the kernel gives to nobody, as matches; "" when there are none */
static void list_safe(
	const struct local_ports *ports, const struct rule_match *match, char *text, size_t size)
{
	size_t at = 0;

	*text = '\0';
	for (unsigned first = match->first; first <= match->last; first++) {
		struct rule_match safe = *match;
		char word[RULE_MATCH_TEXT_MAX];
		unsigned last = first;

		if (local_ports_has(ports, first))
			continue;
		while (last < match->last && !local_ports_has(ports, last + 1))
			last++;
		safe.first = (uint16_t)first;
		safe.last = (uint16_t)last;
		(void)rule_match_format_brief(&safe, word);
		if (at + strlen(word) + 2 > size)
			return;
		at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", word);
		first = last;
	}
}

static void find_local_ports(struct hazards *hazards, const struct rule *rule, const struct rule_match *match,
	const struct local_ports *ports, const struct ifaddrs *addresses)
{
	bool any = match->prefix.family == AF_UNSPEC || !match->prefix.length, overlaps = false;
	char own[INET6_ADDRSTRLEN] = "every address", text[RULE_MATCH_TEXT_MAX], safe[320];
	struct hazard *hazard;

	for (unsigned port = match->first; port <= match->last && !overlaps; port++)
		overlaps = local_ports_has(ports, port);
	if (match->first == match->last || !overlaps || (!any && !find_own_address(addresses, match, own)))
		return;
	hazard = add(hazards, HAZARD_LOCAL_PORTS, rule, match);
	if (!hazard)
		return;
	(void)snprintf(hazard->text, sizeof(hazard->text),
		match->protocol == IPPROTO_UDP
			? "'%s' takes with %s=%s the answers to UDP clients of this host itself: they come to %s, to ports from %u to %u (net.ipv4.ip_local_port_range)"
			: "'%s' takes with %s=%s connections to listeners of this host that have no fixed port, such as passive FTP: they come to %s, to ports from %u to %u (net.ipv4.ip_local_port_range)",
		rule->name, key_of(match), rule_match_format_brief(match, text), own, ports->first,
		ports->last);
	list_safe(ports, match, safe, sizeof(safe));
	if (*safe)
		(void)snprintf(hazard->remedy, sizeof(hazard->remedy), "these ports are safe here: %s=%s",
			key_of(match), safe);
	else
		(void)snprintf(hazard->remedy, sizeof(hazard->remedy),
			"none of its ports is safe here: match other ports, or an address that this host does not send from");
}

/* ---- matches that everybody may take */

#define UNPRIVILEGED 1024U /* the kernel's default */

static unsigned read_unprivileged(bool files_only)
{
	_cleanup_(fclosep) FILE *file =
		files_only ? NULL : fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	unsigned first;

	return file && fscanf(file, "%u", &first) == 1 ? first : UNPRIVILEGED;
}

static void find_bindable(struct hazards *hazards, const struct rule *rule, const struct rule_match *match,
	unsigned unprivileged)
{
	char text[RULE_MATCH_TEXT_MAX];
	struct hazard *hazard;

	if (rule->order == RULE_FIRST || match->last < unprivileged)
		return;
	hazard = add(hazards, HAZARD_BINDABLE, rule, match);
	if (!hazard)
		return;
	(void)snprintf(hazard->text, sizeof(hazard->text),
		"'%s' leaves what %s=%s matches to sockets of others, and every local user may bind ports from %u (net.ipv4.ip_unprivileged_port_start)",
		rule->name, key_of(match), rule_match_format_brief(match, text), unprivileged);
	(void)snprintf(hazard->remedy, sizeof(hazard->remedy),
		"match lower ports, write Order=first, or have only users on this host that may take this traffic");
}

/* ---- the whole */

static void look_at_match(struct hazards *hazards, const struct rule *rule, const struct rule_match *match,
	const struct local_ports *ports, const struct ifaddrs *addresses)
{
	const char *what = hazards_match_never(match);

	if (!what && ports && is_broadcast(match, addresses))
		what = "broadcast addresses of its networks";
	if (what)
		find_never(hazards, rule, match, what);
	else if (ports)
		find_local_ports(hazards, rule, match, ports, addresses);
}

void hazards_find(const struct rule_set *set, bool files_only, struct hazards *ret)
{
	struct ifaddrs *addresses = NULL;
	struct local_ports ports;
	unsigned unprivileged = read_unprivileged(files_only);
	bool known;

	*ret = (struct hazards){};
	known = !files_only && local_ports_read(&ports, &ret->unknown) == 0;
	if (known && getifaddrs(&addresses) < 0)
		addresses = NULL;
	for (size_t i = 0; i < set->n_rules; i++)
		for (size_t j = 0; j < set->rules[i].n_matches; j++) {
			look_at_match(ret, &set->rules[i], &set->rules[i].matches[j], known ? &ports : NULL,
				addresses);
			find_bindable(ret, &set->rules[i], &set->rules[i].matches[j], unprivileged);
		}
	if (addresses)
		freeifaddrs(addresses);
}

void hazards_print(const struct hazards *hazards)
{
	if (hazards->unknown.error)
		complain("warning: cannot tell which ports the kernel gives to clients: %s",
			hazards->unknown.text);
	for (size_t i = 0; i < hazards->n; i++)
		(void)fprintf(stderr, "%s:%u: warning: %s; %s\n", hazards->items[i].rule->path,
			hazards->items[i].match->line, hazards->items[i].text, hazards->items[i].remedy);
	if (hazards->n_all > hazards->n)
		complain(
			"warning: %zu more matches take no packet, or ports that the kernel gives to clients, or leave packets to every user",
			hazards->n_all - hazards->n);
}

void hazards_print_json(const struct hazards *hazards, struct json *json)
{
	static const char *const codes[] = {[HAZARD_NEVER] = "never",
		[HAZARD_LOCAL_PORTS] = "local-ports",
		[HAZARD_BINDABLE] = "bindable"};
	char number[32], text[RULE_MATCH_TEXT_MAX];

	json_open(json, "hazards", '[');
	for (size_t i = 0; i < hazards->n; i++) {
		const struct hazard *hazard = &hazards->items[i];

		json_open(json, NULL, '{');
		json_string(json, "file", hazard->rule->path);
		(void)snprintf(number, sizeof(number), "%u", hazard->match->line);
		json_number(json, "line", number);
		json_string(json, "name", hazard->rule->name);
		json_string(json, "proto", protocol_word(hazard->match->protocol));
		json_string(json, "match", rule_match_format_brief(hazard->match, text));
		json_string(json, "code", codes[hazard->kind]);
		json_string(json, "text", hazard->text);
		json_string(json, "remedy", hazard->remedy);
		json_close(json, '}');
	}
	json_close(json, ']');
	(void)snprintf(number, sizeof(number), "%zu", hazards->n_all - hazards->n);
	json_number(json, "hazards_left_out", number);
}
