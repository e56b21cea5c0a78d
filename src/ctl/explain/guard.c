/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "../host/cgroup.h"

void guard_deinit(struct guard *guard)
{
	admission_deinit(&guard->admission);
	*guard = GUARD_NULL;
}

bool guard_is_open(const struct guard *guard)
{
	return guard->verdict == GUARD_OPEN || *guard->program || guard->gone || guard->unknown.error;
}

/* ---- the socket */

static const struct diag_socket *find_socket(
	const struct explanation *explanation, const struct host_view *host)
{
	const struct explained_place *place = explanation_chosen(explanation);
	const struct listener *taker = host_view_taker(host);

	if (explanation->attached && explanation->verdict == VERDICT_REFUSED)
		return NULL;
	if (explanation->attached && explanation->verdict == VERDICT_DISPATCHED)
		return place ? host->places[place - explanation->places].socket : NULL;
	return taker ? taker->socket : NULL;
}

/* ---- programs */

/* Which settings act by a program of systemd; without BPF in systemd, or in the kernel, they do nothing. */
struct acting {
	bool addresses, devices;
};

/* What others have there is noted. */
static void look_at_programs(const struct cgroup_program *programs, size_t n, const char *folder,
	struct acting *acting, struct guard *guard)
{
	*acting = (struct acting){};
	for (size_t i = 0; i < n; i++) {
		const struct cgroup_program *program = &programs[i];

		if (!strncmp(program->name, "sd_fw_", 6)) {
			acting->addresses = true;
		} else if (!strncmp(program->name, "sd_restrictif", 13)) {
			acting->devices = true;
		} else {
			(void)snprintf(guard->program, sizeof(guard->program), "%s (id %u)", program->name,
				program->id);
			(void)snprintf(guard->folder, sizeof(guard->folder), "%s", folder);
		}
	}
}

/* ---- settings */

static void judge(const struct asked *asked, const struct acting *acting, struct guard *guard)
{
	const struct admission *admission = &guard->admission;
	const uint8_t *source = asked->has_remote ? asked->remote : NULL;
	char device[IF_NAMESIZE] = "";

	if (acting->addresses)
		guard->prefix = admission_denies(admission, asked->family, source);
	if (guard->prefix)
		guard->verdict =
			source || admission_is_closed(admission, asked->family) ? GUARD_REFUSES : GUARD_OPEN;
	if (guard->verdict == GUARD_REFUSES || !admission->n_devices || !acting->devices)
		return;
	if (asked->device && if_indextoname(asked->device, device)) {
		guard->devices = admission_keeps_device(admission, device);
		if (guard->devices)
			guard->verdict = GUARD_REFUSES;
	} else {
		guard->devices = &admission->devices[0];
		guard->verdict = GUARD_OPEN;
	}
}

int guard_read(const struct asked *asked, const struct explanation *explanation, const struct host_view *host,
	struct guard *ret)
{
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	struct cgroup_program programs[CGROUP_PROGRAMS_MAX];
	const struct diag_socket *socket = find_socket(explanation, host);
	/* everybody may ask systemd, but only root which programs there are */
	struct acting acting = {.addresses = true, .devices = true};
	char folder[PATH_MAX];
	struct refusal refusal;
	const char *path;
	bool known;
	size_t n;
	int r;

	*ret = GUARD_NULL;
	if (!socket || !socket->cgroup)
		return 0;
	/* a cgroup goes with its service, and a socket that is held stays in it */
	if (cgroup_find(socket->cgroup, folder, &path)) {
		(void)cgroup_programs_elsewhere(&ret->gone);
		return 0;
	}
	known = !cgroup_programs(folder, programs, &n);
	if (known)
		look_at_programs(programs, n, folder, &acting, ret);
	if (!acting.addresses && !acting.devices)
		return 0;
	if (!*cgroup_unit(path, ret->unit))
		return 0;
	r = admission_read(&manager, ret->unit, &ret->admission, &refusal);
	if (r == REFUSED && known)
		ret->unknown = refusal;
	if (!r)
		judge(asked, &acting, ret);
	return r < 0 ? r : 0;
}
