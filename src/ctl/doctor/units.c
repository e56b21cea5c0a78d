/* SPDX-License-Identifier: BSD-3-Clause */

/* Units of systemd: whether they run, and whether a drop-in takes away what the broker needs. */

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "../host/unit.h"
#include "doctor.h"

/* What a check reads. If systemd does not show it, the check is skipped: an absent property proves nothing. */
struct property {
	const char *name, *type;
};

static const struct property of_units[] = {
	{"LoadState", "s"},
	{"ActiveState", "s"},
	{"UnitFileState", "s"},
	{"NeedDaemonReload", "b"},
	{},
};

static const struct property of_processes[] = {
	{"MainPID", "u"},
	{},
};

static const struct property of_settings[] = {
	{"PrivateNetwork", "b"},
	{"PrivateUsers", "b"},
	{"ProtectProc", "s"},
	{"ProtectSystem", "s"},
	{"ProtectKernelTunables", "b"},
	{"ReadWritePaths", "as"},
	{"CapabilityBoundingSet", "t"},
	{"SystemCallFilter", "(bas)"},
	{"FileDescriptorStoreMax", "u"},
	{},
};

static const char *find_missing_properties(const struct unit *unit, const struct property *property)
{
	while (property && property->name && unit_has(unit, property->name, property->type))
		property++;
	return property ? property->name : NULL;
}

/*
 * Ask systemd about a unit. If it is loaded and has the properties of all units and @more, it can be looked at;
 * otherwise the report says why it is not.
 */
static bool load_unit(struct doctor *doctor, const char *name, const struct property *more, struct unit *unit)
{
	struct refusal refusal;
	const char *missing;
	int r = unit_load(&doctor->manager, name, unit, &refusal);

	doctor->report.out_of_memory = doctor->report.out_of_memory || r < 0;
	if (r == REFUSED)
		doctor_found(doctor, REPORT_SKIP, "%s", refusal.text);
	if (r)
		return false;
	missing = find_missing_properties(unit, of_units);
	if (!missing && !unit_is(unit, "LoadState", "loaded")) {
		doctor_found(
			doctor, REPORT_INFO, "there is no unit %s (%s)", name, unit_text(unit, "LoadState"));
		return false;
	}
	if (!missing)
		missing = find_missing_properties(unit, more);
	if (missing)
		doctor_found(doctor, REPORT_SKIP, "systemd does not show %s= of %s", missing, name);
	return !missing;
}

static bool is_enabled(const struct unit *unit)
{
	return unit_is(unit, "UnitFileState", "enabled") || unit_is(unit, "UnitFileState", "alias");
}

/* It does not start by itself. Of the other states (static, generated, transient…), that depends on other units. */
static bool is_disabled(const struct unit *unit)
{
	static const char *const states[] = {
		"disabled", "masked", "enabled-runtime", "masked-runtime", "linked", "linked-runtime", "bad"};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (unit_is(unit, "UnitFileState", states[i]))
			return true;
	return false;
}

/* Is the unit active, will it be after a boot, and has systemd read its files since they changed? */
static void look_at_state(struct doctor *doctor, const char *name, const struct unit *unit)
{
	bool active = unit_is(unit, "ActiveState", "active") || unit_is(unit, "ActiveState", "reloading");

	if (!active) {
		doctor_found(doctor, REPORT_WARN, "%s is %s", name, unit_text(unit, "ActiveState"));
		doctor_remedy(doctor, "systemctl start %s; see 'systemctl status %s'", name, name);
	}
	if (is_disabled(unit)) {
		doctor_found(doctor, REPORT_WARN, "%s is not enabled: it does not start at boot", name);
		doctor_remedy(doctor, "systemctl enable %s", name);
	}
	if (unit_is(unit, "NeedDaemonReload", "yes")) {
		doctor_found(doctor, REPORT_WARN,
			"the files of %s have changed, but systemd has not read them again", name);
		doctor_remedy(doctor, "systemctl daemon-reload");
	}
	if (active && is_enabled(unit))
		doctor_found(doctor, REPORT_OK, "%s is active and starts at boot", name);
	else if (active && !is_disabled(unit))
		doctor_found(doctor, REPORT_SKIP,
			"%s is active; whether another unit starts it at boot was not looked at (UnitFileState=%s); see 'systemctl list-dependencies --reverse %s'",
			name, unit_text(unit, "UnitFileState"), name);
}

static void check_service(struct doctor *doctor)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;

	if (!load_unit(doctor, doctor->service, of_processes, &unit))
		return;
	look_at_state(doctor, doctor->service, &unit);
	if (doctor->answer.r || !doctor->pid || unit_number(&unit, "MainPID") == (uint64_t)doctor->pid)
		return;
	doctor_found(doctor, REPORT_WARN, "the usherd that answers (pid %d) is not the process of %s",
		doctor->pid, doctor->service);
	doctor_remedy(doctor, "end it, then systemctl start %s", doctor->service);
}

static void check_socket(struct doctor *doctor)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	char name[sizeof(doctor->service) + 8];

	(void)snprintf(name, sizeof(name), "usherd%s%s.socket", *doctor->name ? "@" : "", doctor->name);
	if (load_unit(doctor, name, NULL, &unit))
		look_at_state(doctor, name, &unit);
}

/* ---- settings that hinder the broker */

struct hindrance {
	const char *property, *value;
	enum report_result result;
	const char *effect;
};

static const struct hindrance hindrances[] = {
	{"PrivateNetwork", "yes", REPORT_FAIL,
		"gives the broker a network namespace of its own, in which it serves no clients"},
	{"PrivateBPF", "yes", REPORT_FAIL, "hides the pins: dispatch ends when the broker ends"},
	{"PrivateUsers", "yes", REPORT_FAIL, "takes away the broker's capabilities over the network"},
	{"PrivatePIDs", "yes", REPORT_WARN,
		"hides the processes of clients, so that Unit= in rules matches none of them"},
	{"ProtectProc", "invisible", REPORT_WARN,
		"hides the processes of clients, so that Unit= in rules matches none of them"},
	{"ProtectProc", "noaccess", REPORT_WARN,
		"hides the processes of clients, so that Unit= in rules matches none of them"},
	{"ProtectProc", "ptraceable", REPORT_WARN,
		"hides the processes of clients, so that Unit= in rules matches none of them"},
};

static void advise(struct doctor *doctor, const char *what)
{
	doctor_remedy(doctor,
		"%s in the files that 'systemctl cat %s' shows, then systemctl daemon-reload && systemctl restart %s",
		what, doctor->service, doctor->service);
}

static bool has_capability(const struct unit *unit, unsigned capability)
{
	return unit_number(unit, "CapabilityBoundingSet") >> capability & 1;
}

static void look_at_capabilities(struct doctor *doctor, const struct unit *unit)
{
	bool bpf = has_capability(unit, CAP_BPF) || has_capability(unit, CAP_SYS_ADMIN),
	     net = has_capability(unit, CAP_NET_ADMIN);

	if (bpf && net)
		return;
	doctor_found(doctor, REPORT_FAIL, "CapabilityBoundingSet= leaves out %s%s%s, which the broker needs",
		bpf ? "" : "CAP_BPF", bpf || net ? "" : " and ", net ? "" : "CAP_NET_ADMIN");
	advise(doctor, "write CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN");
}

/* "bpf:EPERM" denies the call with that error, even in a list of allowed calls. */
static void look_at_system_calls(struct doctor *doctor, const struct unit *unit)
{
	bool allows, listed = false;
	const char *call;

	if (!unit_filter(unit, "SystemCallFilter", &allows))
		return;
	while ((call = unit_next(unit)))
		listed = listed || strcmp(call, "bpf") == 0 || (!allows && strncmp(call, "bpf:", 4) == 0);
	if (listed == allows)
		return;
	doctor_found(doctor, REPORT_FAIL, "SystemCallFilter= does not let the broker call bpf(2)");
	advise(doctor, "add SystemCallFilter=bpf");
}

/* Is the folder of the pins below one of the paths? A path may begin with "-" or "+". */
static bool may_write(const struct unit *unit, const char *path)
{
	const char *at;

	if (!unit_list(unit, "ReadWritePaths"))
		return false;
	while ((at = unit_next(unit))) {
		size_t length;

		at += strspn(at, "-+");
		length = strlen(at);
		if (length && strncmp(path, at, length) == 0 && (!path[length] || path[length] == '/'))
			return true;
	}
	return false;
}

static void look_at_paths(struct doctor *doctor, const struct unit *unit)
{
	bool tunables = unit_is(unit, "ProtectKernelTunables", "yes");

	if ((!tunables && !unit_is(unit, "ProtectSystem", "strict")) ||
		may_write(unit, doctor->instance.pins))
		return;
	doctor_found(doctor, REPORT_FAIL, "%s keeps the broker from writing to %s",
		tunables ? "ProtectKernelTunables=yes" : "ProtectSystem=strict", doctor->instance.pins);
	doctor_remedy(doctor, "add ReadWritePaths=-%s, then systemctl daemon-reload && systemctl restart %s",
		doctor->instance.pins, doctor->service);
}

static void look_at_store(struct doctor *doctor, const struct unit *unit)
{
	unsigned long held = doctor->answer.r ? 0 : doctor_number(doctor, KEY_HELD),
		      most = unit_number(unit, "FileDescriptorStoreMax");

	if (held <= most)
		return;
	doctor_found(doctor, REPORT_WARN,
		"FileDescriptorStoreMax=%lu is less than the number of held sockets: %lu; those beyond it are lost when the broker ends",
		most, held);
	advise(doctor, "raise FileDescriptorStoreMax=");
}

static void check_settings(struct doctor *doctor)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	size_t before;

	if (!load_unit(doctor, doctor->service, of_settings, &unit))
		return;
	before = doctor->report.n;
	for (size_t i = 0; i < ARRAY_SIZE(hindrances); i++) {
		const struct hindrance *hindrance = &hindrances[i];

		if (!unit_is(&unit, hindrance->property, hindrance->value))
			continue;
		doctor_found(doctor, hindrance->result, "%s=%s %s", hindrance->property, hindrance->value,
			hindrance->effect);
		advise(doctor, "remove it");
	}
	look_at_capabilities(doctor, &unit);
	look_at_system_calls(doctor, &unit);
	look_at_paths(doctor, &unit);
	look_at_store(doctor, &unit);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"%s has none of the settings that are known to hinder the broker", doctor->service);
}

static void check_discover(struct doctor *doctor)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;

	if (doctor_skips_unread(doctor))
		return;
	if (!doctor->discovers)
		doctor_found(doctor, REPORT_OK, "not needed: no rule has a section [Discover]");
	else if (*doctor->name)
		doctor_found(doctor, REPORT_SKIP, "usher-discover.service serves only the default instance");
	else if (load_unit(doctor, "usher-discover.service", NULL, &unit))
		look_at_state(doctor, "usher-discover.service", &unit);
}

const struct check unit_checks[] = {
	{"service", check_service},
	{"service-settings", check_settings},
	{"socket-unit", check_socket},
	{"discover-unit", check_discover},
	{},
};
