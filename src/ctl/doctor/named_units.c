/* SPDX-License-Identifier: BSD-3-Clause */

/* The socket units that the rules name with Sockets=. */

#include <stdlib.h>
#include <string.h>

#include "../check/named_units.h"
#include "../host/usher_unit.h"
#include "doctor.h"

static bool has_from(const struct seat *seat, const char *unit)
{
	for (size_t i = 0; i < seat->n_places; i++)
		if (usher_unit_is_listed(unit, seat->places[i]->fields[PLACE_UNIT]))
			return true;
	return false;
}

/* A name has sockets, but none of this unit: a name without any is the subject of another check. */
static bool is_left_out(const struct doctor *doctor, const struct socket_rule *rule, const char *service)
{
	bool any = false;

	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];

		if (strcmp(seat->name, rule->name) != 0)
			continue;
		if (has_from(seat, service))
			return false;
		any = any || seat->n_places;
	}
	return any;
}

/* Return: whether systemd has said something. */
static bool look_at_unit(struct doctor *doctor, const struct socket_rule *rule)
{
	struct named_unit_fault fault;
	struct refusal refusal;
	char service[USHER_SERVICE_MAX];
	int r = named_unit_look(&doctor->manager, rule->unit, doctor->command, &fault, &refusal);

	if (r < 0)
		doctor->report.out_of_memory = true;
	if (r == REFUSED)
		doctor_found(doctor, REPORT_SKIP, "%s", refusal.text);
	if (r)
		return false;
	usher_unit_format(rule->unit, service);
	if (*fault.text) {
		doctor_found(doctor, REPORT_WARN, "%s:%u: %s", rule->file, rule->line, fault.text);
		doctor_remedy(doctor, "%s %s", fault.remedy, fault.command);
	} else if (!doctor->answer.r && is_left_out(doctor, rule, service)) {
		doctor_found(doctor, REPORT_WARN,
			"%s:%u: %s listens, and %s has not handed its sockets in as '%s'", rule->file,
			rule->line, rule->unit, service, rule->name);
		doctor_remedy(doctor, "see 'journalctl -u %s', then: systemctl start %s", service, service);
	}
	return true;
}

static void check_named_units(struct doctor *doctor)
{
	_cleanup_(socket_rules_deinit) struct socket_rules rules = SOCKET_RULES_NULL;
	size_t before = doctor->report.n;

	if (doctor_skips_unread(doctor))
		return;
	if (socket_rules_add_set(&rules, doctor->set) < 0)
		doctor->report.out_of_memory = true;
	for (size_t i = 0; i < rules.n && look_at_unit(doctor, &rules.items[i]); i++)
		continue;
	if (doctor->report.n == before && !rules.n)
		doctor_found(doctor, REPORT_OK, "no rule names a socket unit (Sockets=)");
	else if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"the socket units that the rules name listen, and their sockets are handed in");
}

const struct check named_unit_checks[] = {
	{"named-units", check_named_units},
	{},
};
