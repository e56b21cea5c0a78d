/* SPDX-License-Identifier: BSD-3-Clause */
#include "own_unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../scan/process.h"
#include "../../util/macro.h"
#include "unit.h"

/* What a service does in a state of systemd.service(5) */
static const struct {
	const char *state, *key;
} lines[] = {
	{"condition", "ExecCondition"},
	{"start-pre", "ExecStartPre"},
	{"start-post", "ExecStartPost"},
	{"reload", "ExecReload"},
	{"stop", "ExecStop"},
	{"stop-post", "ExecStopPost"},
};

/* Units of a user's service manager are in the cgroup of user@UID.service, whose state says nothing about them. */
static bool is_of_user(const char *unit)
{
	return strncmp(unit, "user@", 5) == 0;
}

static void find_socket(const struct unit *unit, char ret[static OWN_UNIT_MAX])
{
	const char *name;

	if (!unit_list(unit, "TriggeredBy"))
		return;
	while ((name = unit_next(unit))) {
		size_t length = strlen(name);

		if (length > 7 && length < OWN_UNIT_MAX && strcmp(name + length - 7, ".socket") == 0)
			(void)strcpy(ret, name);
	}
}

int own_unit_read(struct own_unit *ret)
{
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;
	struct process process = PROCESS_NULL;
	struct refusal refusal;
	int r;

	*ret = (struct own_unit){};
	if (!getenv("INVOCATION_ID"))
		return 0;
	r = process_open(getpid(), &process, &refusal);
	if (r)
		return r == -ENOMEM ? r : 0;
	if (process.unit && strlen(process.unit) < sizeof(ret->name) && !is_of_user(process.unit))
		(void)strcpy(ret->name, process.unit);
	process_close(&process);
	r = *ret->name ? unit_load(&manager, ret->name, &unit, &refusal) : REFUSED;
	if (r) {
		*ret->name = '\0';
		return r == -ENOMEM ? r : 0;
	}
	find_socket(&unit, ret->socket);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (unit_is(&unit, "SubState", lines[i].state))
			ret->key = lines[i].key;
	return 0;
}
