/* SPDX-License-Identifier: BSD-3-Clause */

/* Sockets that are bound to a device, and VRFs: what usher's program cannot see */

#include <linux/rtnetlink.h>
#include <net/if.h>

#include "../../rule/match.h"
#include "../../util/device.h"
#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../host/routing.h"
#include "../host/vrf.h"
#include "doctor.h"

/* What the check looks at besides the sockets */
struct network {
	struct vrf_links links;
	struct routing routing;
};

static void network_deinit(struct network *network)
{
	vrf_deinit(&network->links);
	routing_deinit(&network->routing);
}

static bool matches_local(
	const struct rule *rule, const struct diag_socket *socket, const struct route_entry *route)
{
	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule_match_covers(&rule->matches[i], socket->protocol, route->prefix.family,
			    route->prefix.address, rule->matches[i].first))
			return true;
	return false;
}

/* The VRF that has an address to which a match leads; nobody sends to 127.0.0.0/8 from elsewhere. */
static const struct vrf_link *find_vrf(
	const struct network *network, const struct rule *rule, const struct diag_socket *socket)
{
	for (size_t i = 0; i < network->links.n; i++) {
		const struct vrf_link *vrf = &network->links.items[i];

		for (size_t j = 0; vrf->table && j < network->routing.n_routes; j++) {
			const struct route_entry *route = &network->routing.routes[j];
			bool loopback = route->prefix.family == AF_INET && route->prefix.address[0] == 127;

			if (route->table == vrf->table && route->type == RTN_LOCAL && !loopback &&
				diag_serves(socket, route->prefix.family) &&
				matches_local(rule, socket, route))
				return vrf;
		}
	}
	return NULL;
}

static void look_at_bound(struct doctor *doctor, const struct seat *seat, const struct listed_place *place,
	const struct diag_socket *socket, const struct vrf_links *links)
{
	const char *address = place->fields[PLACE_ADDRESS] ? place->fields[PLACE_ADDRESS] : "?";
	const struct vrf_link *vrf = vrf_of(links, socket->interface);
	char name[IF_NAMESIZE], master[DEVICE_TEXT_MAX];

	if (!if_indextoname(socket->interface, name)) {
		doctor_found(doctor, REPORT_WARN,
			"socket %s of '%s' is bound to device #%u, which is gone: it gets no packets",
			address, seat->name, socket->interface);
		doctor_remedy(doctor,
			"restart the service (pid %s); a device that was made again under the same name is another one",
			place->fields[PLACE_PID] ? place->fields[PLACE_PID] : "?");
	} else if (vrf && vrf->device != socket->interface) {
		(void)device_format(vrf->device, master);
		doctor_found(doctor, REPORT_WARN,
			"socket %s of '%s' is bound to %s, which is in VRF %s: usher's program sees only the VRF of a packet, so the socket gets none",
			address, seat->name, name, master);
		doctor_remedy(doctor,
			"bind it to %s (BindToDevice=%s in a socket unit), and hand it in again", master,
			master);
	} else if (vrf) {
		doctor_found(doctor, REPORT_INFO,
			"socket %s of '%s' is bound to VRF %s: it gets no packets that this host sends to its own IPv4 addresses in %s",
			address, seat->name, name, name);
	}
}

static void look_at_unbound(struct doctor *doctor, const struct seat *seat, const struct listed_place *place,
	const struct diag_socket *socket, const struct network *network)
{
	const struct rule *rule = rule_set_find(doctor->set, seat->name);
	const struct vrf_link *vrf =
		rule && !vrf_is_open(socket->protocol) ? find_vrf(network, rule, socket) : NULL;
	char name[DEVICE_TEXT_MAX];

	if (!vrf)
		return;
	(void)device_format(vrf->device, name);
	doctor_found(doctor, REPORT_WARN,
		"socket %s of '%s' is bound to no device, and gets packets of VRF %s that match, which the kernel would not give it (net.ipv4.%s_l3mdev_accept=0): its replies do not leave by %s",
		place->fields[PLACE_ADDRESS] ? place->fields[PLACE_ADDRESS] : "?", seat->name, name,
		protocol_word(socket->protocol), name);
	doctor_remedy(doctor,
		"limit the rule to addresses that are not in %s; if the service should serve %s, bind a socket of its own to it (BindToDevice=%s in a socket unit) and hand it in last",
		name, name, name);
}

/* A socket may be in the seats of both families. */
static bool is_first_seat(
	const struct doctor *doctor, const struct seat *seat, const struct diag_socket *socket)
{
	for (const struct seat *other = doctor->seats.items; other < seat; other++)
		for (size_t i = 0; i < other->n_places; i++)
			if (doctor_find(doctor, other->places[i]) == socket)
				return false;
	return true;
}

static void check_devices(struct doctor *doctor)
{
	_cleanup_(network_deinit) struct network network = {};
	size_t before = doctor->report.n;
	struct refusal refusal;
	int r;

	if (doctor_skips_sockets(doctor) || doctor_skips_unread(doctor))
		return;
	r = vrf_read(&network.links, &refusal);
	if (!r)
		r = routing_read(&network.routing, &refusal);
	if (r) {
		doctor_found(
			doctor, REPORT_SKIP, "not looked at: %s", r == REFUSED ? refusal.text : "no memory");
		return;
	}
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];

		for (size_t j = 0; j < seat->n_places; j++) {
			const struct diag_socket *socket = doctor_find(doctor, seat->places[j]);

			if (!socket || !is_first_seat(doctor, seat, socket))
				continue;
			if (socket->interface)
				look_at_bound(doctor, seat, seat->places[j], socket, &network.links);
			else
				look_at_unbound(doctor, seat, seat->places[j], socket, &network);
		}
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"the device to which a socket is bound is there, and no VRF concerns a socket");
}

const struct check device_checks[] = {
	{"devices", check_devices},
	{NULL, NULL},
};
