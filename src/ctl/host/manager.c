/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager.h"

#include <errno.h>
#include <stdbool.h>
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

int manager_get_properties(
	struct manager *manager, const char *unit, sd_bus_message **ret_properties, struct refusal *refusal)
{
	int r = 0;

	if (manager->silence.error) {
		*refusal = manager->silence;
		return REFUSED;
	}
	if (sd_booted() <= 0)
		r = refuse(refusal, ENOENT, "systemd does not run here");
	else if (!manager->bus)
		r = connect_bus(&manager->bus, refusal);
	if (!r)
		r = ask_unit(manager->bus, unit, ret_properties, refusal);
	if (r == REFUSED && (!manager->bus || refusal->error == ETIMEDOUT))
		manager->silence = *refusal;
	return r;
}
