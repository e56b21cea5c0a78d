/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../../util/clock.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"

#define ANSWER_SECONDS 10U

void manager_deinit(struct manager *manager)
{
	(void)sd_bus_close_unref(manager->bus);
	*manager = MANAGER_NULL;
}

/* systemd itself is at the other end, not a bus: no Hello (sd_bus_set_bus_client) is due. */
static int open_private(sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

/* The timeout of a call does not cover the login before it, for which libsystemd allows 90 s. */
static int log_in(sd_bus *bus)
{
	uint64_t end = clock_monotonic_usec() + ANSWER_SECONDS * CLOCK_USEC_PER_SEC;

	for (;;) {
		uint64_t now = clock_monotonic_usec();
		int r = sd_bus_is_ready(bus);

		if (r)
			return r < 0 ? r : 0;
		if (now >= end)
			return -ETIMEDOUT;
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, end - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

static int refuse_late(struct refusal *refusal)
{
	return refuse(refusal, ETIMEDOUT, "systemd does not answer within %u s (ETIMEDOUT)", ANSWER_SECONDS);
}

static int reach(int (*open)(sd_bus **ret), sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r = open(&bus);

	if (r >= 0)
		r = log_in(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

/* A systemd that does not answer root in time does not answer over the bus either. */
static int connect_bus(sd_bus **ret, struct refusal *refusal)
{
	bool root = geteuid() == 0;
	int private = root ? reach(open_private, ret) : -EACCES, r = private;

	if (r < 0 && r != -ENOMEM && r != -ETIMEDOUT)
		r = reach(sd_bus_open_system, ret);
	if (r >= 0 || r == -ENOMEM)
		return r;
	if (r == -ETIMEDOUT)
		return refuse_late(refusal);
	if (root)
		return refuse(refusal, -r,
			"systemd cannot be reached over /run/systemd/private: %s (%s), nor over the system bus: %s (%s)",
			errno_text(-private), errno_name(-private), errno_text(-r), errno_name(-r));
	return refuse(refusal, -r, "systemd cannot be reached over the system bus: %s (%s); run as root",
		errno_text(-r), errno_name(-r));
}

static int new_request(sd_bus *bus, const char *unit, sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
	_cleanup_free_ char *path = NULL;
	int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &request, "org.freedesktop.systemd1", path,
			"org.freedesktop.DBus.Properties", "GetAll");
	if (r >= 0)
		r = sd_bus_message_append(request, "s", ""); /* of all interfaces */
	if (r < 0)
		return r;
	*ret = TAKE_PTR(request);
	return 0;
}

static int ask_unit(sd_bus *bus, const char *unit, sd_bus_message **ret, struct refusal *refusal)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = new_request(bus, unit, &request);

	if (r >= 0)
		r = sd_bus_call(bus, request, ANSWER_SECONDS * CLOCK_USEC_PER_SEC, &error, ret);
	if (r == -ETIMEDOUT)
		return refuse_late(refusal);
	if (r < 0 && r != -ENOMEM)
		return refuse(refusal, -r, "systemd does not show %s: %s (%s)", unit,
			error.message ? error.message : errno_text(-r),
			error.name ? error.name : errno_name(-r));
	return r < 0 ? r : 0;
}

/* What is asked for: names like the pattern, in the state or, if it is NULL, in any */
struct wanted {
	const char *pattern, *state;
};

static int call_list(sd_bus *bus, const char *method, const struct wanted *wanted, sd_bus_message **ret,
	sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
	int r = sd_bus_message_new_method_call(bus, &request, "org.freedesktop.systemd1",
		"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", method);

	if (r >= 0)
		r = wanted->state ? sd_bus_message_append(request, "as", 1U, wanted->state)
				  : sd_bus_message_append(request, "as", 0U);
	if (r >= 0)
		r = sd_bus_message_append(request, "as", 1U, wanted->pattern);
	return r < 0 ? r : sd_bus_call(bus, request, ANSWER_SECONDS * CLOCK_USEC_PER_SEC, error, ret);
}

static int append_name(char **names, size_t *size, const char *name, size_t length)
{
	char *longer;

	for (const char *at = *names; at && *at; at += strlen(at) + 1)
		if (strlen(at) == length && memcmp(at, name, length) == 0)
			return 0;
	longer = realloc(*names, *size + length + 2);
	if (!longer)
		return -ENOMEM;
	memcpy(longer + *size, name, length);
	longer[*size + length] = longer[*size + length + 1] = '\0';
	*names = longer;
	*size += length + 1;
	return 0;
}

/* A list of units, or of their files: the first string of each item is the name, or the path */
struct list {
	const char *method, *rest; /* the types of what follows */
};

static int append_names(sd_bus_message *m, const struct list *list, char **names, size_t *size)
{
	char contents[16];
	const char *name;
	int r;

	(void)snprintf(contents, sizeof(contents), "(s%s)", list->rest);
	r = sd_bus_message_enter_container(m, 'a', contents);
	(void)snprintf(contents, sizeof(contents), "s%s", list->rest);
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', contents)) > 0) {
		r = sd_bus_message_read_basic(m, 's', &name);
		if (r <= 0)
			break;
		if (strrchr(name, '/'))
			name = strrchr(name, '/') + 1;
		if (!strstr(name, "@."))
			r = append_name(names, size, name, strlen(name));
		if (r >= 0)
			r = sd_bus_message_skip(m, list->rest);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : 0;
}

/* @n: 1 for the units that are loaded, 2 for those that only have a file as well */
static int ask_names(sd_bus *bus, const struct wanted *wanted, size_t n, char **ret, struct refusal *refusal)
{
	static const struct list lists[] = {
		{"ListUnitsByPatterns", "sssssouso"}, {"ListUnitFilesByPatterns", "s"}};
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *names = calloc(1, 1);
	size_t size = 0;
	int r = names ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r >= 0; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

		r = call_list(bus, lists[i].method, wanted, &m, &error);
		if (r >= 0)
			r = append_names(m, &lists[i], &names, &size);
	}
	if (r == -ETIMEDOUT)
		return refuse_late(refusal);
	if (r < 0 && r != -ENOMEM)
		return refuse(refusal, -r, "systemd does not list units: %s (%s)",
			error.message ? error.message : errno_text(-r),
			error.name ? error.name : errno_name(-r));
	if (r >= 0)
		*ret = TAKE_PTR(names);
	return r < 0 ? r : 0;
}

/* Is there a connection? Otherwise every further question gets the same refusal. */
static int connect_once(struct manager *manager, struct refusal *refusal)
{
	if (manager->silence.error) {
		*refusal = manager->silence;
		return REFUSED;
	}
	if (sd_booted() <= 0)
		return refuse(refusal, ENOENT, "systemd does not run here");
	return manager->bus ? 0 : connect_bus(&manager->bus, refusal);
}

static int conclude(struct manager *manager, int r, const struct refusal *refusal)
{
	if (r == REFUSED && (!manager->bus || refusal->error == ETIMEDOUT))
		manager->silence = *refusal;
	return r;
}

int manager_get_properties(
	struct manager *manager, const char *unit, sd_bus_message **ret_properties, struct refusal *refusal)
{
	int r = connect_once(manager, refusal);

	if (!r)
		r = ask_unit(manager->bus, unit, ret_properties, refusal);
	return conclude(manager, r, refusal);
}

int manager_get_sockets(struct manager *manager, char **ret_names, struct refusal *refusal)
{
	int r = connect_once(manager, refusal);

	if (!r)
		r = ask_names(manager->bus, &(struct wanted){"*.socket", NULL}, 2, ret_names, refusal);
	return conclude(manager, r, refusal);
}

int manager_get_units(struct manager *manager, const char *pattern, const char *state, char **ret_names,
	struct refusal *refusal)
{
	int r = connect_once(manager, refusal);

	if (!r)
		r = ask_names(manager->bus, &(struct wanted){pattern, state}, 1, ret_names, refusal);
	return conclude(manager, r, refusal);
}

static int queue(sd_bus *bus, const char *method, const char *unit, struct refusal *refusal)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_message_new_method_call(bus, &request, "org.freedesktop.systemd1",
		"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", method);

	if (r >= 0)
		r = sd_bus_message_append(request, "ss", unit, "ignore-requirements");
	if (r >= 0)
		r = sd_bus_call(bus, request, ANSWER_SECONDS * CLOCK_USEC_PER_SEC, &error, NULL);
	if (r == -ETIMEDOUT)
		return refuse_late(refusal);
	if (r < 0 && r != -ENOMEM)
		return refuse(refusal, -r, "systemd does not start %s: %s (%s)", unit,
			error.message ? error.message : errno_text(-r),
			error.name ? error.name : errno_name(-r));
	return r < 0 ? r : 0;
}

static int queue_once(struct manager *manager, const char *method, const char *unit, struct refusal *refusal)
{
	int r = connect_once(manager, refusal);

	if (!r)
		r = queue(manager->bus, method, unit, refusal);
	return conclude(manager, r, refusal);
}

int manager_start(struct manager *manager, const char *unit, struct refusal *refusal)
{
	return queue_once(manager, "StartUnit", unit, refusal);
}

int manager_restart(struct manager *manager, const char *unit, struct refusal *refusal)
{
	return queue_once(manager, "RestartUnit", unit, refusal);
}
