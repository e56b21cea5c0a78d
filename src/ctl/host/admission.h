/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which packets the sockets of a unit receive, by the settings of the unit and of its slices: IPAddressAllow=,
 * IPAddressDeny=, RestrictNetworkInterfaces=, see systemd.resource-control(5)
 *
 * An address that is allowed anywhere is admitted, else one that is denied anywhere is not. The devices of each unit are
 * checked on their own.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../util/prefix.h"
#include "manager.h"

struct admission_prefix {
	char unit[NAME_MAX + 1];
	struct prefix prefix;
};

struct admission_devices {
	char unit[NAME_MAX + 1];
	bool allows;	 /* the devices that are named, or all others */
	char names[256]; /* "eth0 lo" */
};

struct admission {
	struct admission_prefix *allowed, *denied;
	size_t n_allowed, n_denied;
	struct admission_devices *devices;
	size_t n_devices;
};

#define ADMISSION_NULL ((struct admission){})

/*
 * admission_read() - of a unit and the slices that it is in
 * @ret: to be released on any result
 *
 * Return: 0, REFUSED (systemd cannot be asked), or -ENOMEM.
 */
int admission_read(struct manager *manager, const char *unit, struct admission *ret, struct refusal *refusal);
void admission_deinit(struct admission *admission);

/* admission_denies() - the setting that keeps packets of a source away, or NULL. @source: NULL: of any source that is not allowed */
const struct admission_prefix *admission_denies(
	const struct admission *admission, int family, const uint8_t *source);

/* admission_is_closed() - without a source: is there none that is admitted? */
bool admission_is_closed(const struct admission *admission, int family);

/* admission_keeps_device() - the setting that keeps packets by a device away, or NULL */
const struct admission_devices *admission_keeps_device(const struct admission *admission, const char *device);

#define ADMISSION_TEXT_MAX 512

/* admission_format_allowed() - "192.0.2.0/24 2001:db8::/32", those of one family; "no address" */
const char *admission_format_allowed(
	const struct admission *admission, int family, char text[static ADMISSION_TEXT_MAX]);
