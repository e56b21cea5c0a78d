/* SPDX-License-Identifier: BSD-3-Clause */

/* The sockets: those that are handed in but cannot serve, and those that cannot be handed in. */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../scan/process.h"
#include "../../scan/target.h"
#include "../../util/transport.h"
#include "../host/socket_owner.h"
#include "doctor.h"

#define MPTCP_MAX 64 /* MPTCP listeners that are looked at */
#define HELD_MAX 64

/* ---- shut down */

static bool has_listener(const struct doctor *doctor, const struct seat *seat)
{
	for (size_t i = 0; i < seat->n_places; i++)
		if (doctor_find(doctor, seat->places[i]))
			return true;
	return false;
}

static void look_at_place(struct doctor *doctor, const struct seat *seat, const struct listed_place *place)
{
	bool others = has_listener(doctor, seat);

	if (doctor_find(doctor, place))
		return;
	doctor_found(doctor, others ? REPORT_WARN : REPORT_FAIL, "socket %s of '%s' %s: it gets no %s%s",
		place->fields[PLACE_ADDRESS] ? place->fields[PLACE_ADDRESS] : "?", seat->name,
		doctor_seat_is_udp(seat) ? "is connected" : "no longer listens",
		doctor_seat_is_udp(seat) ? "datagrams from others" : "connections",
		others ? "; other sockets of the name do" : ", nor does any other socket of the name");
	doctor_remedy(doctor, "restart the service (pid %s), or %s withdraw %s and hand another one in",
		place->fields[PLACE_PID] ? place->fields[PLACE_PID] : "?", doctor->command, seat->name);
}

static void check_listening(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_sockets(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++)
		for (size_t j = 0; j < doctor->seats.items[i].n_places; j++)
			look_at_place(doctor, &doctor->seats.items[i], doctor->seats.items[i].places[j]);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "every handed-in socket listens");
}

/* ---- queues */

/* Held sockets with waiting connections, and the processes that may accept them */
struct waiting {
	const struct seat *seats[HELD_MAX];
	struct diag_socket sockets[HELD_MAX];
	struct process owners[HELD_MAX];
	size_t n;
};

static void waiting_deinit(struct waiting *waiting)
{
	for (size_t i = 0; i < waiting->n; i++)
		if (waiting->owners[i].pid)
			process_close(&waiting->owners[i]);
}

static void add_waiting(struct doctor *doctor, struct waiting *waiting, const struct seat *seat)
{
	for (size_t i = 0; i < seat->n_places && waiting->n < HELD_MAX; i++) {
		const struct diag_socket *socket = doctor_find(doctor, seat->places[i]);
		bool known = false;

		if (!socket || !place_is_held(seat->places[i]) || !socket->queue || doctor_seat_is_udp(seat))
			continue;
		/* a dual-stack socket is in two seats */
		for (size_t j = 0; j < waiting->n; j++)
			known = known || waiting->sockets[j].cookie == socket->cookie;
		if (known)
			continue;
		waiting->seats[waiting->n] = seat;
		waiting->owners[waiting->n] = PROCESS_NULL;
		waiting->sockets[waiting->n++] = *socket;
	}
}

static void check_held(struct doctor *doctor)
{
	_cleanup_(waiting_deinit) struct waiting waiting = {};
	size_t before = doctor->report.n;
	bool all = false;

	if (doctor_skips_sockets(doctor) || doctor_skips_unprivileged(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++)
		add_waiting(doctor, &waiting, &doctor->seats.items[i]);
	if (socket_owner_find(waiting.sockets, waiting.n, doctor->pid, waiting.owners, &all) < 0) {
		doctor->report.out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < waiting.n; i++) {
		const struct diag_socket *socket = &waiting.sockets[i];
		const char *name = waiting.seats[i]->name;

		/* process 1 keeps copies for the broker */
		if (waiting.owners[i].pid > 1 || !doctor->pid || !all)
			continue;
		doctor_found(doctor, diag_queue_is_full(socket) ? REPORT_FAIL : REPORT_WARN,
			"connections wait in a held socket of '%s' that no service has open: %u of at most %u",
			name, socket->queue, socket->queue_max);
		doctor_remedy(doctor, "start the service with '%s claim %s -- COMMAND', or %s withdraw %s",
			doctor->command, name, doctor->command, name);
	}
	if (doctor->report.n > before)
		return;
	if (waiting.n && (!doctor->pid || !all))
		doctor_found(doctor, REPORT_SKIP,
			"connections wait in held sockets, and whether a service has them open was not looked at: %s",
			doctor->pid ? "some processes may not be examined; run as root with CAP_SYS_PTRACE"
				    : "the broker is in another PID namespace; run doctor there");
	else if (waiting.n == HELD_MAX)
		doctor_found(doctor, REPORT_SKIP,
			"connections wait in more held sockets than are looked at (%d); none of these waits for a service that has ended",
			HELD_MAX);
	else
		doctor_found(doctor, REPORT_OK, "no connection waits for a service that has ended");
}

static void check_queues(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_sockets(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++)
		for (size_t j = 0; j < doctor->seats.items[i].n_places; j++) {
			const struct listed_place *place = doctor->seats.items[i].places[j];
			const struct diag_socket *socket = doctor_find(doctor, place);

			if (!socket || !diag_queue_is_full(socket))
				continue;
			doctor_found(doctor, REPORT_WARN,
				"the accept queue of socket %s of '%s' is full, so new connections are dropped: %u wait, its backlog is %u",
				place->fields[PLACE_ADDRESS] ? place->fields[PLACE_ADDRESS] : "?",
				doctor->seats.items[i].name, socket->queue, socket->queue_max);
			doctor_remedy(doctor,
				"find out why the service (pid %s) does not accept; if it is only slow, raise its backlog and net.core.somaxconn",
				place->fields[PLACE_PID] ? place->fields[PLACE_PID] : "?");
		}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "no accept queue is full");
}

/* ---- MPTCP */

static bool misses_tcp(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->seats.n; i++)
		if (!doctor_seat_is_udp(&doctor->seats.items[i]) && !doctor->seats.items[i].n_places)
			return true;
	return false;
}

static bool is_covered(const struct doctor *doctor, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	if (!address_is_any(family, address))
		return image_lookup(doctor->image, family, socket->protocol, address, socket->port);
	return image_port_word(doctor->image, family, socket->protocol, socket->port) ||
	       (diag_serves(socket, AF_INET) &&
		       image_port_word(doctor->image, AF_INET, socket->protocol, socket->port));
}

static bool is_meant(const struct doctor *doctor, const struct diag_socket *socket)
{
	for (size_t i = 0; i < doctor->set->n_rules; i++)
		if (target_is_described(&doctor->set->rules[i], socket))
			return true;
	return is_covered(doctor, socket);
}

static void report_mptcp(struct doctor *doctor, const struct diag_socket *socket)
{
	struct process owner = PROCESS_NULL;
	char where[ENDPOINT_TEXT_MAX], who[SOCKET_OWNER_TEXT_MAX];

	if (socket_owner_find(socket, 1, 0, &owner, NULL) < 0)
		doctor->report.out_of_memory = true;
	doctor_found(doctor, REPORT_WARN,
		"%s listens on %s with MPTCP, and the kernel does not support handing such a socket in (EOPNOTSUPP)",
		socket_owner_format(socket, &owner, who),
		endpoint_format(socket->family, socket->address, socket->port, where));
	doctor_remedy(doctor,
		"disable MPTCP in it; in Go: GODEBUG=multipathtcp=0, or SetMultipathTCP(false) of net.ListenConfig");
	if (owner.pid)
		process_close(&owner);
}

/* A listener that a rule concerns. When a name lacks a socket, any MPTCP listener may be the one that is missing. */
static void check_mptcp(struct doctor *doctor)
{
	size_t before = doctor->report.n, n = 0;

	if (doctor_skips_unread(doctor) || doctor_skips_elsewhere(doctor))
		return;
	for (size_t i = 0; i < doctor->n_sockets && n < MPTCP_MAX; i++) {
		if (!doctor->sockets[i].mptcp)
			continue;
		n++;
		if (misses_tcp(doctor) || is_meant(doctor, &doctor->sockets[i]))
			report_mptcp(doctor, &doctor->sockets[i]);
	}
	if (doctor->report.n == before && n == MPTCP_MAX)
		doctor_found(doctor, REPORT_SKIP,
			"of the listeners that use MPTCP, only the first %d were looked at; no rule concerns these",
			MPTCP_MAX);
	else if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "no listener that a rule concerns uses MPTCP");
}

/* A place that another unit has handed in than the one that serves; NULL: none */
static const struct listed_place *find_other_unit(const struct seat *seat)
{
	const char *serves = seat->n_places ? seat->places[0]->fields[PLACE_UNIT] : NULL;

	for (size_t i = 1; serves && i < seat->n_places; i++) {
		const char *unit = seat->places[i]->fields[PLACE_UNIT];

		if (unit && strcmp(unit, serves) != 0 && place_is(seat->places[i], STATE_STANDBY))
			return seat->places[i];
	}
	return NULL;
}

/* The newest hand-in serves, from any unit: that is how to move a name, and what happens if two units use one. */
static void check_taken_over(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_unanswered(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];
		const struct listed_place *other = find_other_unit(seat);

		if (!other)
			continue;
		doctor_found(doctor, REPORT_INFO,
			"'%s' (%s over %s) has sockets of two units: that of %s serves, and that of %s only stands by",
			seat->name, seat->protocol, seat->family, seat->places[0]->fields[PLACE_UNIT],
			other->fields[PLACE_UNIT]);
		doctor_remedy(doctor,
			"the newest hand-in serves; if this is no upgrade, give one of them another name, or let only one use the name (Unit= in [Access])");
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"no unit has taken a name over from another one that still has a socket");
}

const struct check socket_checks[] = {
	{"listening", check_listening},
	{"queues", check_queues},
	{"held", check_held},
	{"taken-over", check_taken_over},
	{"mptcp", check_mptcp},
	{},
};
