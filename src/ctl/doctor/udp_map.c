/* SPDX-License-Identifier: BSD-3-Clause */

/* Services of UDP: what the kernel's map does to their sockets, and stand-ins, for which it does not matter */

#include <stdio.h>
#include <string.h>

#include "../../kernel/udp_map.h"
#include "../../util/destination.h"
#include "../../util/errno_name.h"
#include "doctor.h"

/* ---- the map */

static bool is_stand_in(const struct listed_place *place)
{
	return destination_parse(place->fields[PLACE_DESTINATION]) & DESTINATION_DROPS;
}

/* Nobody reads from a stand-in, so it does not matter what the map does to it. */
static bool is_read(const struct seat *seat)
{
	for (size_t i = 0; i < seat->n_places; i++)
		if (!is_stand_in(seat->places[i]))
			return true;
	return false;
}

/* A command that serves the service as it is bound now */
static void advise_stand_in(struct doctor *doctor, const struct seat *seat)
{
	const struct diag_socket *socket = doctor_serving(doctor, seat);
	char where[ENDPOINT_TEXT_MAX] = "ADDRESS:PORT", members[32] = "";
	size_t n = socket ? diag_count_group(doctor->sockets, doctor->n_sockets, socket) : 1;

	if (socket)
		(void)endpoint_format(socket->family, socket->address, socket->port, where);
	if (n > 1)
		(void)snprintf(members, sizeof(members), " --members=%zu", n);
	doctor_remedy(doctor,
		"nothing, if the service receives into a buffer of a fixed size; otherwise have it open its socket with SO_REUSEPORT, and start it with '%s hand-in --stand-in=%s%s %s -- COMMAND'",
		doctor->command, where, members, seat->name);
}

static void report_map(struct doctor *doctor, const struct seat *seat, const struct udp_map *map)
{
	const char *name = seat->name;

	if (map->hides_size) {
		doctor_found(doctor, REPORT_WARN,
			"the UDP sockets of '%s' are in a map of this kernel, where FIONREAD is 0 while a datagram waits%s: a service that sizes its buffer by it gets nothing, or spins",
			name,
			map->ignores_nothing
				? ", and a receive of 0 bytes neither waits nor peeks nor discards"
				: "");
		advise_stand_in(doctor, seat);
	} else if (map->ignores_nothing)
		doctor_found(doctor, REPORT_INFO,
			"the UDP sockets of '%s' are in a map of this kernel, where a receive of 0 bytes neither waits nor peeks nor discards; FIONREAD is right",
			name);
}

static void check_map(struct doctor *doctor)
{
	const struct seats *seats = &doctor->seats;
	size_t before = doctor->report.n;
	const char *last = "";
	struct udp_map map;
	int r;

	if (doctor_skips_unanswered(doctor) || doctor_has_no_udp(doctor))
		return;
	r = udp_map_try(&map);
	if (r < 0) {
		doctor_found(doctor, REPORT_SKIP,
			"what the kernel's map does to a UDP socket was not looked at: %s (%s); run as root%s",
			errno_text(-r), errno_name(-r),
			doctor->root ? ", with CAP_BPF and CAP_NET_ADMIN, where 127.0.0.1 works" : "");
		return;
	}
	for (size_t i = 0; i < seats->n; i++) {
		const struct seat *seat = &seats->items[i];

		if (!doctor_serves_udp(seat) || !is_read(seat))
			continue;
		if (strcmp(seat->name, last) != 0)
			report_map(doctor, seat, &map);
		last = seat->name;
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			map.hides_size || map.ignores_nothing
				? "the UDP sockets that are handed in are stand-ins, from which no service reads"
				: "a UDP socket in a map of this kernel works as others do (FIONREAD, a receive of 0 bytes)");
}

/* ---- stand-ins */

static void look_at_stand_in(struct doctor *doctor, const struct seat *seat, const struct listed_place *place)
{
	const struct diag_socket *socket = doctor_find(doctor, place);
	char where[ENDPOINT_TEXT_MAX];

	if (!socket || diag_count_group(doctor->sockets, doctor->n_sockets, socket) > 1)
		return;
	(void)endpoint_format(socket->family, socket->address, socket->port, where);
	doctor_found(doctor, REPORT_WARN,
		"the stand-in of '%s' is alone at %s: its service (pid %s) has no socket there, and datagrams are dropped",
		seat->name, where, place->fields[PLACE_PID] ? place->fields[PLACE_PID] : "?");
	doctor_remedy(doctor, "have the service bind %s with SO_REUSEPORT, as the same user", where);
}

static void check_stand_ins(struct doctor *doctor)
{
	size_t before = doctor->report.n, n = 0;

	if (doctor_skips_unanswered(doctor) || doctor_skips_sockets(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];

		for (size_t j = 0; doctor_seat_is_udp(seat) && j < seat->n_places; j++)
			if (is_stand_in(seat->places[j])) {
				look_at_stand_in(doctor, seat, seat->places[j]);
				n++;
			}
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			n ? "each stand-in has another socket at its address; whether that is the service's was not looked at"
			  : "no stand-in is handed in");
}

const struct check udp_map_checks[] = {
	{"udp-map", check_map},
	{"stand-in", check_stand_ins},
	{},
};
