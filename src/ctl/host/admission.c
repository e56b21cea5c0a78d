/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "unit.h"

#define SLICES_MAX 32 /* of which each is in the next */

void admission_deinit(struct admission *admission)
{
	free(admission->allowed);
	free(admission->denied);
	free(admission->devices);
	*admission = ADMISSION_NULL;
}

/* ---- reading */

static int read_prefixes(const struct unit *unit, const char *name, const char *property,
	struct admission_prefix **items, size_t *n)
{
	struct prefix prefix;

	if (!unit_prefixes(unit, property))
		return 0;
	while (unit_next_prefix(unit, &prefix)) {
		if (ARRAY_RESERVE(*items, *n) < 0)
			return -ENOMEM;
		(*items)[*n].prefix = prefix;
		(void)snprintf((*items)[*n].unit, sizeof((*items)[*n].unit), "%s", name);
		(*n)++;
	}
	return 0;
}

static int read_devices(const struct unit *unit, const char *name, struct admission *admission)
{
	struct admission_devices *devices;
	const char *device;
	bool allows;
	size_t length = 0;

	if (!unit_filter(unit, "RestrictNetworkInterfaces", &allows))
		return 0;
	if (ARRAY_RESERVE(admission->devices, admission->n_devices) < 0)
		return -ENOMEM;
	devices = &admission->devices[admission->n_devices];
	*devices = (struct admission_devices){.allows = allows};
	(void)snprintf(devices->unit, sizeof(devices->unit), "%s", name);
	while ((device = unit_next(unit)) && length < sizeof(devices->names))
		length += (size_t)snprintf(devices->names + length, sizeof(devices->names) - length, "%s%s",
			length ? " " : "", device);
	/* an empty list restricts nothing */
	admission->n_devices += *devices->names != '\0';
	return 0;
}

static int read_unit(const struct unit *unit, const char *name, struct admission *admission)
{
	int r = read_prefixes(unit, name, "IPAddressAllow", &admission->allowed, &admission->n_allowed);

	if (!r)
		r = read_prefixes(unit, name, "IPAddressDeny", &admission->denied, &admission->n_denied);
	return r ? r : read_devices(unit, name, admission);
}

int admission_read(struct manager *manager, const char *name, struct admission *ret, struct refusal *refusal)
{
	char current[NAME_MAX + 1];
	int r = 0;

	*ret = ADMISSION_NULL;
	(void)snprintf(current, sizeof(current), "%s", name);
	for (unsigned i = 0; i < SLICES_MAX && *current && !r; i++) {
		struct unit unit = UNIT_NULL;

		r = unit_load(manager, current, &unit, refusal);
		if (!r)
			r = read_unit(&unit, current, ret);
		/* the root slice is in none */
		(void)snprintf(current, sizeof(current), "%s", r ? "" : unit_text(&unit, "Slice"));
		unit_deinit(&unit);
	}
	return r;
}

/* ---- judging */

static bool is_covered(const struct prefix *prefix, const struct admission_prefix *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].prefix.length <= prefix->length &&
			prefix_contains(&items[i].prefix, prefix->family, prefix->address))
			return true;
	return false;
}

const struct admission_prefix *admission_denies(
	const struct admission *admission, int family, const uint8_t *source)
{
	for (size_t i = 0; source && i < admission->n_allowed; i++)
		if (prefix_contains(&admission->allowed[i].prefix, family, source))
			return NULL;
	for (size_t i = 0; i < admission->n_denied; i++) {
		const struct prefix *prefix = &admission->denied[i].prefix;

		if (source ? prefix_contains(prefix, family, source)
			   : prefix->family == family &&
					!is_covered(prefix, admission->allowed, admission->n_allowed))
			return &admission->denied[i];
	}
	return NULL;
}

bool admission_is_closed(const struct admission *admission, int family)
{
	const struct prefix any = {.family = (uint8_t)family};

	for (size_t i = 0; i < admission->n_allowed; i++)
		if (admission->allowed[i].prefix.family == family)
			return false;
	return is_covered(&any, admission->denied, admission->n_denied);
}

static bool is_named(const char *names, const char *device)
{
	size_t length = strlen(device);

	for (const char *at = names; *at; at += strspn(at, " ")) {
		size_t size = strcspn(at, " ");

		if (size == length && !memcmp(at, device, size))
			return true;
		at += size;
	}
	return false;
}

const struct admission_devices *admission_keeps_device(const struct admission *admission, const char *device)
{
	for (size_t i = 0; i < admission->n_devices; i++)
		if (is_named(admission->devices[i].names, device) != admission->devices[i].allows)
			return &admission->devices[i];
	return NULL;
}

const char *admission_format_allowed(
	const struct admission *admission, int family, char text[static ADMISSION_TEXT_MAX])
{
	char prefix[PREFIX_TEXT_MAX];
	size_t length = 0;

	(void)snprintf(text, ADMISSION_TEXT_MAX, "no address");
	for (size_t i = 0; i < admission->n_allowed && length < ADMISSION_TEXT_MAX; i++)
		if (admission->allowed[i].prefix.family == family)
			length += (size_t)snprintf(text + length, ADMISSION_TEXT_MAX - length, "%s%s",
				length ? " " : "", prefix_format(&admission->allowed[i].prefix, prefix));
	return text;
}
