/* SPDX-License-Identifier: BSD-3-Clause */
#include "named_units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "../host/unit.h"
#include "../host/unit_fault.h"
#include "../host/usher_unit.h"

static bool look_at_load(const struct unit *socket, const char *unit, struct named_unit_fault *ret)
{
	if (unit_is(socket, "LoadState", "loaded"))
		return false;
	if (unit_is(socket, "LoadState", "not-found")) {
		FAULT(ret, "there is no unit %s", unit);
		REMEDY(ret, "write it, or correct Sockets=, then:");
		COMMAND(ret, "systemctl daemon-reload");
	} else if (unit_is(socket, "LoadState", "masked")) {
		FAULT(ret, "%s is masked", unit);
		REMEDY(ret, "if it should listen:");
		COMMAND(ret, "systemctl unmask %s", unit);
	} else {
		FAULT(ret, "systemd cannot load %s (%s)", unit, unit_text(socket, "LoadState"));
		REMEDY(ret, "correct what this shows:");
		COMMAND(ret, "systemctl status %s", unit);
	}
	return true;
}

static bool wants(const struct unit *socket, const char *service)
{
	const char *wanted;

	if (!unit_list(socket, "Wants"))
		return false;
	while ((wanted = unit_next(socket)))
		if (strcmp(wanted, service) == 0)
			return true;
	return false;
}

/* A unit that is not enabled may still be wanted by another one. */
static bool look_at_state(const struct unit *socket, const char *unit, struct named_unit_fault *ret)
{
	bool disabled = unit_is(socket, "UnitFileState", "disabled");

	if (unit_is(socket, "ActiveState", "failed")) {
		FAULT(ret, "%s has failed", unit);
		REMEDY(ret, "fix what 'journalctl -u %s' shows, then:", unit);
		COMMAND(ret, "systemctl restart %s", unit);
	} else if (disabled) {
		FAULT(ret, "%s is %s, and not enabled", unit, unit_text(socket, "ActiveState"));
		REMEDY(ret, "so that it listens now and after a boot:");
		COMMAND(ret, "systemctl enable --now %s", unit);
	} else if (unit_is(socket, "ActiveState", "inactive")) {
		FAULT(ret, "%s is inactive", unit);
		REMEDY(ret, "start it:");
		COMMAND(ret, "systemctl start %s", unit);
	}
	return *ret->text;
}

int named_unit_look(struct manager *manager, const char *unit, const char *usherctl,
	struct named_unit_fault *ret, struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit socket = UNIT_NULL;
	char service[USHER_SERVICE_MAX];
	int r = unit_load(manager, unit, &socket, refusal);

	*ret = (struct named_unit_fault){};
	if (r || look_at_load(&socket, unit, ret))
		return r;
	usher_unit_format(unit, service);
	/* 'systemctl enable' has systemd read everything */
	if (unit_is(&socket, "ActiveState", "inactive") && unit_is(&socket, "UnitFileState", "disabled")) {
		(void)look_at_state(&socket, unit, ret);
	} else if (!wants(&socket, service)) {
		ret->unlinked = true;
		FAULT(ret, "systemd has not read yet that %s starts %s", unit, service);
		REMEDY(ret, "have usher-generator read the rules:");
		COMMAND(ret, "systemctl daemon-reload && %s reload", usherctl);
	} else {
		(void)look_at_state(&socket, unit, ret);
	}
	return 0;
}

int named_units_warn(const struct socket_rules *rules, const char *instance, struct problems *warnings)
{
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	char usherctl[96] = "usherctl";
	int r = 0;

	if (*instance)
		(void)snprintf(usherctl, sizeof(usherctl), "usherctl --instance=%s", instance);
	for (size_t i = 0; i < rules->n && !r; i++) {
		const struct socket_rule *rule = &rules->items[i];
		struct named_unit_fault fault;
		struct refusal refusal;

		r = named_unit_look(&manager, rule->unit, usherctl, &fault, &refusal);
		if (r == REFUSED) {
			r = problems_add(warnings, rule->file, rule->line,
				"whether the units of Sockets= listen was not looked at: %s", refusal.text);
			return r;
		}
		if (!r && *fault.text)
			r = problems_add(warnings, rule->file, rule->line, "%s; %s %s", fault.text,
				fault.remedy, fault.command);
	}
	return r;
}
