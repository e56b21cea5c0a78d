/* SPDX-License-Identifier: BSD-3-Clause */
#include "name_units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/macro.h"
#include "../../util/name.h"
#include "unit.h"
#include "unit_fault.h"
#include "usher_unit.h"

#define UNIT_NAME_MAX 256

static bool is_loaded(const struct unit *unit)
{
	return unit_is(unit, "LoadState", "loaded");
}

static bool is_active(const struct unit *unit)
{
	return unit_is(unit, "ActiveState", "active") || unit_is(unit, "ActiveState", "reloading");
}

static bool is_disabled(const struct unit *unit)
{
	return unit_is(unit, "UnitFileState", "disabled");
}

static bool lists(const struct unit *unit, const char *property, const char *word)
{
	const char *item;

	if (!unit_list(unit, property))
		return false;
	while ((item = unit_next(unit)))
		if (strcmp(item, word) == 0)
			return true;
	return false;
}

static bool has_ip(const struct unit *socket)
{
	const char *kind, *text;

	if (!unit_pairs(socket, "Listen"))
		return false;
	while (unit_next_pair(socket, &kind, &text))
		if ((strcmp(kind, "Stream") == 0 || strcmp(kind, "Datagram") == 0) && *text != '/' &&
			*text != '@' && strncmp(text, "vsock:", 6) != 0)
			return true;
	return false;
}

/* ---- the services */

static bool look_at_failed(const struct unit *unit, const char *name, struct name_fault *fault)
{
	if (!unit_is(unit, "ActiveState", "failed"))
		return false;
	FAULT(fault, "%s has failed", name);
	REMEDY(fault, "fix what 'journalctl -u %s' shows, then:", name);
	COMMAND(fault, "systemctl restart %s", name);
	return true;
}

/* usher@ of a socket unit that is active */
static int look_at_usher(struct manager *manager, const char *socket, bool named, struct name_fault *fault,
	struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	char name[USHER_SERVICE_MAX];
	int r;

	usher_unit_format(socket, name);
	r = unit_load(manager, name, &unit, refusal);
	if (r)
		return r;
	if (!is_loaded(&unit)) {
		FAULT(fault, "there is no unit %s to hand in the sockets of %s", name, socket);
		REMEDY(fault, "install the units of usher; see the journal of usherd");
	} else if (look_at_failed(&unit, name, fault)) {
		return 0;
	} else if (is_disabled(&unit) && !named) {
		FAULT(fault, "%s, which hands in the sockets of %s, is not enabled", name, socket);
		REMEDY(fault, "enable and start it:");
		COMMAND(fault, "systemctl enable --now %s", name);
	} else {
		FAULT(fault, "%s has sockets, and %s has not handed them in since", socket, name);
		REMEDY(fault, "start it; its journal shows what became of it:");
		COMMAND(fault, "systemctl start %s", name);
	}
	return 0;
}

/* @name: NULL: the rule names the unit, so the names of its sockets do not count */
static int look_at_socket(struct manager *manager, const char *name, const char *socket,
	const struct unit *unit, struct name_fault *fault, struct refusal *refusal)
{
	const char *given = unit_text(unit, "FileDescriptorName");

	if (name && strcmp(given, name) != 0) {
		FAULT(fault,
			"the sockets of %s have the name '%s': FileDescriptorName=%s is missing there, or invalid",
			socket, *given ? given : socket, name);
		REMEDY(fault, "write FileDescriptorName=%s into [Socket] of %s, then:", name, socket);
		COMMAND(fault, "systemctl daemon-reload && systemctl restart %s", socket);
		return 0;
	}
	if (look_at_failed(unit, socket, fault))
		return 0;
	if (!is_active(unit)) {
		FAULT(fault, "%s is %s%s", socket, unit_text(unit, "ActiveState"),
			is_disabled(unit) ? ", and not enabled" : "");
		REMEDY(fault, "start it:");
		COMMAND(fault, "systemctl %s %s", is_disabled(unit) ? "enable --now" : "start", socket);
		return 0;
	}
	if (!has_ip(unit)) {
		FAULT(fault, "%s is active, and has no TCP or UDP socket", socket);
		REMEDY(fault,
			"write ListenStream= or ListenDatagram= with a private address and a port into [Socket] of %s",
			socket);
		return 0;
	}
	if (*unit_text(unit, "NetworkNamespacePath")) {
		FAULT(fault, "%s listens in another network namespace, %s", socket,
			unit_text(unit, "NetworkNamespacePath"));
		REMEDY(fault, "hand its sockets in to the broker of that namespace, usherd@NETNS");
		return 0;
	}
	if (unit_is(unit, "PassFileDescriptorsToExec", "yes") || lists(unit, "Triggers", "usherd.service")) {
		bool own = !lists(unit, "Triggers", "usherd.service");

		FAULT(fault, "%s is active, and its sockets are not handed in", socket);
		REMEDY(fault, "see 'journalctl -u %s'; the hand-in is repeated by:",
			own ? socket : "usherd.service");
		COMMAND(fault, "systemctl restart %s", own ? socket : "usherd.service");
		return 0;
	}
	return look_at_usher(manager, socket, !name, fault, refusal);
}

static int look_at_service(
	struct manager *manager, const char *name, struct name_fault *fault, struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	char service[NAME_LENGTH_MAX + 16];
	int r;

	(void)snprintf(service, sizeof(service), "%s.service", name);
	r = unit_load(manager, service, &unit, refusal);
	if (r || !is_loaded(&unit) || look_at_failed(&unit, service, fault))
		return r;
	if (is_active(&unit)) {
		FAULT(fault, "%s is active, and has handed none in", service);
		REMEDY(fault,
			"use 'usherctl hand-in' in its ExecStart=, or [Discover] in the rule; if it hands in, its journal shows why not:");
		COMMAND(fault, "journalctl -u %s", service);
		return 0;
	}
	FAULT(fault, "%s is %s", service, unit_text(&unit, "ActiveState"));
	REMEDY(fault, "start it:");
	COMMAND(fault, "systemctl %s %s", is_disabled(&unit) ? "enable --now" : "start", service);
	return 0;
}

/* The socket unit whose sockets have the name; or that which is called so. NULL: neither */
static int find_socket(struct manager *manager, const char *name, char ret[static UNIT_NAME_MAX],
	struct unit *ret_unit, struct refusal *refusal)
{
	_cleanup_free_ char *names = NULL;
	char called[NAME_LENGTH_MAX + 16];
	bool found = false;
	int r = manager_get_sockets(manager, &names, refusal);

	(void)snprintf(called, sizeof(called), "%s.socket", name);
	*ret = '\0';
	for (const char *at = names; !r && at && *at; at += strlen(at) + 1) {
		_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
		bool named;

		r = unit_load(manager, at, &unit, refusal);
		if (r || !is_loaded(&unit) || strlen(at) >= UNIT_NAME_MAX)
			continue;
		named = unit_is(&unit, "FileDescriptorName", name);
		if (!named && (found || strcmp(at, called) != 0))
			continue;
		found = found || named;
		unit_deinit(ret_unit);
		*ret_unit = unit;
		unit = UNIT_NULL;
		(void)snprintf(ret, UNIT_NAME_MAX, "%s", at);
		if (named && is_active(ret_unit))
			break;
	}
	return r;
}

/* The rule says which unit it is. */
static int look_at_named(
	struct manager *manager, const char *socket, struct name_fault *fault, struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	int r = unit_load(manager, socket, &unit, refusal);

	if (r)
		return r;
	if (is_loaded(&unit))
		return look_at_socket(manager, NULL, socket, &unit, fault, refusal);
	FAULT(fault, "there is no unit %s, which the rule names (%s)", socket, unit_text(&unit, "LoadState"));
	REMEDY(fault, "write it, or correct Sockets= in the rule, then:");
	COMMAND(fault, "systemctl daemon-reload");
	return 0;
}

int name_units_find(struct manager *manager, const char *name, const char *socket, struct name_fault *ret,
	struct refusal *refusal)
{
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	char found[UNIT_NAME_MAX];
	int r;

	*ret = (struct name_fault){};
	if (socket)
		return look_at_named(manager, socket, ret, refusal);
	r = find_socket(manager, name, found, &unit, refusal);
	if (r)
		return r;
	return *found ? look_at_socket(manager, name, found, &unit, ret, refusal)
		      : look_at_service(manager, name, ret, refusal);
}
