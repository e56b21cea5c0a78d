/* SPDX-License-Identifier: BSD-3-Clause */

/* Services of UDP: whether their replies can reach clients */

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../../scan/fetch.h"
#include "../../scan/openers.h"
#include "../../util/destination.h"
#include "../../util/errno_name.h"
#include "../../util/netns.h"
#include "../../util/transport.h"
#include "../complain.h"
#include "doctor.h"

#define LOOKS_MAX 64 /* sockets that are looked at */

static int family_of(const struct seat *seat)
{
	int family = AF_INET;

	(void)family_from_word(seat->family, &family);
	return family;
}

/* ---- matches and their sockets */

/* A match of a rule that sends datagrams to a socket */
struct udp_match {
	const struct seat *seat;
	const struct rule_match *match;
	const struct diag_socket *socket;
};

typedef bool udp_match_function(struct doctor *doctor, const struct udp_match *item, void *userdata);

/* Call a function for each of them, until it returns true for one of a seat. Reports what cannot be looked at. */
static void foreach_udp_match(struct doctor *doctor, udp_match_function *function, void *userdata)
{
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];
		const struct rule *rule =
			doctor_serves_udp(seat) ? rule_set_find(doctor->set, seat->name) : NULL;
		struct udp_match item = {.seat = seat, .socket = rule ? doctor_serving(doctor, seat) : NULL};

		if (doctor_serves_udp(seat) && !rule)
			doctor_found(doctor, REPORT_SKIP,
				"'%s' was not looked at: it has a socket, and the files have no rule for it",
				seat->name);
		else if (rule && doctor_serves_udp(seat) && !item.socket)
			doctor_found(doctor, REPORT_SKIP,
				"'%s' was not looked at: none of its sockets takes datagrams from all clients",
				seat->name);
		for (size_t j = 0; item.socket && j < rule->n_matches; j++) {
			item.match = &rule->matches[j];
			if (rule_match_concerns(item.match, IPPROTO_UDP, family_of(seat)) &&
				function(doctor, &item, userdata))
				break;
		}
	}
}

/* ---- ports */

static bool look_at_port(struct doctor *doctor, const struct udp_match *item, void *userdata)
{
	const struct rule_match *match = item->match;
	uint16_t port = item->socket->port;
	char text[RULE_MATCH_TEXT_MAX];

	(void)userdata;
	if (match->first == port && match->last == port)
		return false;
	doctor_found(doctor, REPORT_WARN,
		"'%s' serves udp %s from a socket on port %u: its replies leave from port %u, and clients drop them",
		item->seat->name, rule_match_format_brief(match, text), port, port);
	doctor_remedy(doctor,
		"bind the service to the port of the rule, on a private address; or have it reply from a second socket");
	return true;
}

static void check_ports(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_unread(doctor) || doctor_skips_sockets(doctor) || doctor_has_no_udp(doctor))
		return;
	foreach_udp_match(doctor, look_at_port, NULL);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"the sockets of UDP services are bound to the ports of their rules, so that replies leave from there");
}

/* ---- addresses */

/* Whether the services ask for the destination of datagrams. A socket's group gets its datagrams too. */
struct looks {
	struct diag_socket sockets[LOOKS_MAX];
	unsigned sets[LOOKS_MAX]; /* of DESTINATION_* */
	bool now[LOOKS_MAX];	  /* it is as the socket is now, not as it was at the hand-in */
	size_t n;
	bool all;
};

static void add_look(struct looks *looks, const struct diag_socket *socket, unsigned set)
{
	for (size_t i = 0; i < looks->n; i++)
		if (looks->sockets[i].cookie == socket->cookie) {
			looks->sets[i] |= set;
			return;
		}
	if (looks->n == LOOKS_MAX) {
		looks->all = false;
		return;
	}
	looks->sockets[looks->n] = *socket;
	looks->sets[looks->n++] = set;
}

static void add_group(const struct doctor *doctor, struct looks *looks, const struct listed_place *place)
{
	const struct diag_socket *socket = doctor_find(doctor, place);

	if (!socket)
		return;
	add_look(looks, socket, destination_parse(place->fields[PLACE_DESTINATION]));
	for (size_t i = 0; i < doctor->n_sockets; i++)
		if (diag_is_group(&doctor->sockets[i], socket))
			add_look(looks, &doctor->sockets[i], 0);
}

/* As the socket is now, through a process that has it open. A socket that may not be duplicated stays as it was. */
static void look_through(struct looks *looks, const struct opener *opener, uint64_t netns_cookie)
{
	_cleanup_(process_close) struct process process = PROCESS_NULL;
	_cleanup_close_ int fd = -1;
	struct refusal refusal;

	if (looks->now[opener->socket] || process_open(opener->pid, &process, &refusal) ||
		fetch_dup(&process, opener->fd, &looks->sockets[opener->socket], netns_cookie, &fd, &refusal))
		return;
	looks->sets[opener->socket] = destination_read(fd);
	looks->now[opener->socket] = true;
}

static void look_now(struct doctor *doctor, struct looks *looks)
{
	_cleanup_(openers_deinit) struct openers openers = {};
	struct refusal refusal;
	uint64_t netns_cookie;

	if (!doctor->root || !looks->n || netns_read_cookie(&netns_cookie, &refusal))
		return;
	if (openers_find_proc(looks->sockets, looks->n, 0, &openers) == -ENOMEM)
		doctor->report.out_of_memory = true;
	for (size_t i = 0; i < openers.n; i++)
		look_through(looks, &openers.items[i], netns_cookie);
}

static bool is_bound_there(const struct rule_match *match, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	return match->prefix.family == family && prefix_is_address(&match->prefix) &&
	       address_is_same(family, match->prefix.address, address);
}

static void report_unasked(struct doctor *doctor, const struct udp_match *item, bool now)
{
	const uint8_t *address;
	int family = diag_address(item->socket, &address);
	char where[ENDPOINT_TEXT_MAX], text[RULE_MATCH_TEXT_MAX];

	(void)endpoint_format(item->socket->family, item->socket->address, item->socket->port, where);
	(void)rule_match_format_brief(item->match, text);
	if (address_is_any(family, address))
		doctor_found(doctor, REPORT_WARN,
			"'%s' serves udp %s from a socket bound to %s, and does not ask to which address a datagram was sent (%s): the route chooses from which one its reply leaves",
			item->seat->name, text, where, now ? "now" : "at the hand-in");
	else
		doctor_found(doctor, REPORT_WARN,
			"'%s' serves udp %s from a socket bound to %s, and does not ask to which address a datagram was sent (%s): its replies leave from there",
			item->seat->name, text, where, now ? "now" : "at the hand-in");
	doctor_remedy(doctor,
		"have the service set %s and send each reply from the address that it gets, or bind a socket to each address of the rule%s",
		family_of(item->seat) == AF_INET ? "IP_PKTINFO" : "IPV6_RECVPKTINFO",
		now ? "" : "; run as root to look at the socket as it is now");
}

static bool look_at_address(struct doctor *doctor, const struct udp_match *item, void *userdata)
{
	const struct looks *looks = userdata;
	bool unknown = false, handed_in_unknown = !looks->all;

	if (is_bound_there(item->match, item->socket))
		return false;
	for (size_t i = 0; i < looks->n; i++) {
		bool is_own = looks->sockets[i].cookie == item->socket->cookie;

		if (!diag_is_group(&looks->sockets[i], item->socket))
			continue;
		if (looks->sets[i] & DESTINATION_LOOKED) {
			if (looks->sets[i] & DESTINATION_DROPS ||
				destination_is_asked(looks->sets[i], family_of(item->seat)))
				continue;
			report_unasked(doctor, item, looks->now[i]);
			return true;
		}
		unknown = true;
		handed_in_unknown = handed_in_unknown || is_own;
	}
	if (!unknown && looks->all)
		return false;
	doctor_found(doctor, REPORT_SKIP,
		handed_in_unknown
			? "'%s' was not looked at: whether its service asks to which address a datagram was sent is not known of a socket that an earlier usherd took"
			: "'%s' was not looked at: other sockets at the same address get its datagrams too, and only root can see whether they ask to which address one was sent",
		item->seat->name);
	doctor_remedy(doctor, handed_in_unknown ? "have the service hand its socket in again, or run as root"
						: "run as root");
	return true;
}

static void check_addresses(struct doctor *doctor)
{
	struct looks looks = {.all = true};
	size_t before = doctor->report.n;

	if (doctor_skips_unread(doctor) || doctor_skips_sockets(doctor) || doctor_has_no_udp(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++)
		for (size_t j = 0;
			doctor_serves_udp(&doctor->seats.items[i]) && j < doctor->seats.items[i].n_places;
			j++)
			add_group(doctor, &looks, doctor->seats.items[i].places[j]);
	look_now(doctor, &looks);
	foreach_udp_match(doctor, look_at_address, &looks);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"every UDP service asks to which address a datagram was sent, or is bound to the one address of its rule; whether it replies from there was not looked at");
}

const struct check udp_checks[] = {
	{"udp-port", check_ports},
	{"udp-address", check_addresses},
	{},
};
