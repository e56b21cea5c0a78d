/* SPDX-License-Identifier: BSD-3-Clause */

/* Matches that take no packet, and those that take what nobody meant */

#include "../check/hazards.h"
#include "doctor.h"

static void report_hazards(struct doctor *doctor, enum hazard_kind kind, const char *none)
{
	size_t before = doctor->report.n;
	struct hazards hazards;

	if (doctor_skips_unread(doctor))
		return;
	if (kind == HAZARD_LOCAL_PORTS && doctor_skips_elsewhere(doctor))
		return;
	hazards_find(doctor->set, doctor->other_network, &hazards);
	if (kind == HAZARD_LOCAL_PORTS && hazards.unknown.error) {
		doctor_found(doctor, REPORT_SKIP, "%s", hazards.unknown.text);
		return;
	}
	for (size_t i = 0; i < hazards.n; i++) {
		if (hazards.items[i].kind != kind)
			continue;
		doctor_found(doctor, REPORT_WARN, "%s", hazards.items[i].text);
		doctor_remedy(doctor, "%s", hazards.items[i].remedy);
	}
	if (hazards.n_all > hazards.n)
		doctor_found(doctor, REPORT_WARN,
			"more matches take no packet, or ports that the kernel gives to clients: %zu",
			hazards.n_all - hazards.n);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "%s", none);
}

static void check_never(struct doctor *doctor)
{
	report_hazards(
		doctor, HAZARD_NEVER, "no match is for multicast, broadcast or unspecified addresses alone");
}

static void check_local_ports(struct doctor *doctor)
{
	report_hazards(doctor, HAZARD_LOCAL_PORTS,
		"no range of ports in a match takes those that the kernel gives to clients of this host");
}

const struct check match_checks[] = {
	{"never", check_never},
	{"local-ports", check_local_ports},
	{},
};
