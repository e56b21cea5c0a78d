/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit.h"

#include <string.h>
#include <sys/socket.h>

void unit_deinit(struct unit *unit)
{
	(void)sd_bus_message_unref(unit->properties);
	*unit = UNIT_NULL;
}

int unit_load(struct manager *manager, const char *name, struct unit *ret, struct refusal *refusal)
{
	return manager_get_properties(manager, name, &ret->properties, refusal);
}

/* Go to the value of a property. Where the answer is malformed, it ends. */
static bool find_property(const struct unit *unit, const char *property, const char *type)
{
	sd_bus_message *m = unit->properties;
	const char *name, *found;

	if (sd_bus_message_rewind(m, true) < 0 || sd_bus_message_enter_container(m, 'a', "{sv}") <= 0)
		return false;
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		if (sd_bus_message_read_basic(m, 's', &name) <= 0)
			return false;
		if (strcmp(name, property) == 0)
			return sd_bus_message_peek_type(m, NULL, &found) > 0 && strcmp(found, type) == 0 &&
			       sd_bus_message_enter_container(m, 'v', type) > 0;
		if (sd_bus_message_skip(m, "v") < 0 || sd_bus_message_exit_container(m) < 0)
			return false;
	}
	return false;
}

bool unit_has(const struct unit *unit, const char *property, const char *type)
{
	return find_property(unit, property, type);
}

const char *unit_text(const struct unit *unit, const char *property)
{
	const char *text;
	int flag;

	if (find_property(unit, property, "s") && sd_bus_message_read_basic(unit->properties, 's', &text) > 0)
		return text;
	if (find_property(unit, property, "b") && sd_bus_message_read_basic(unit->properties, 'b', &flag) > 0)
		return flag ? "yes" : "no";
	return "";
}

bool unit_is(const struct unit *unit, const char *property, const char *value)
{
	return strcmp(unit_text(unit, property), value) == 0;
}

uint64_t unit_number(const struct unit *unit, const char *property)
{
	uint64_t large;
	uint32_t small;

	if (find_property(unit, property, "t") &&
		sd_bus_message_read_basic(unit->properties, 't', &large) > 0)
		return large;
	if (find_property(unit, property, "u") &&
		sd_bus_message_read_basic(unit->properties, 'u', &small) > 0)
		return small;
	return 0;
}

bool unit_list(const struct unit *unit, const char *property)
{
	return find_property(unit, property, "as") &&
	       sd_bus_message_enter_container(unit->properties, 'a', "s") > 0;
}

bool unit_filter(const struct unit *unit, const char *property, bool *ret_allows)
{
	sd_bus_message *m = unit->properties;
	int allows;

	if (!find_property(unit, property, "(bas)") || sd_bus_message_enter_container(m, 'r', "bas") <= 0 ||
		sd_bus_message_read_basic(m, 'b', &allows) <= 0 ||
		sd_bus_message_enter_container(m, 'a', "s") <= 0)
		return false;
	*ret_allows = allows;
	return true;
}

const char *unit_next(const struct unit *unit)
{
	const char *text;

	return sd_bus_message_read_basic(unit->properties, 's', &text) > 0 ? text : NULL;
}

bool unit_pairs(const struct unit *unit, const char *property)
{
	return find_property(unit, property, "a(ss)") &&
	       sd_bus_message_enter_container(unit->properties, 'a', "(ss)") > 0;
}

bool unit_next_pair(const struct unit *unit, const char **ret_first, const char **ret_second)
{
	return sd_bus_message_read(unit->properties, "(ss)", ret_first, ret_second) > 0;
}

bool unit_prefixes(const struct unit *unit, const char *property)
{
	return find_property(unit, property, "a(iayu)") &&
	       sd_bus_message_enter_container(unit->properties, 'a', "(iayu)") > 0;
}

bool unit_next_prefix(const struct unit *unit, struct prefix *ret)
{
	sd_bus_message *m = unit->properties;
	const void *address;
	uint32_t length;
	size_t size;
	int family;

	if (sd_bus_message_enter_container(m, 'r', "iayu") <= 0 ||
		sd_bus_message_read_basic(m, 'i', &family) <= 0 ||
		sd_bus_message_read_array(m, 'y', &address, &size) <= 0 ||
		sd_bus_message_read_basic(m, 'u', &length) <= 0 || sd_bus_message_exit_container(m) < 0)
		return false;
	if ((family != AF_INET && family != AF_INET6) || size != address_size(family) ||
		length > address_bits(family))
		return false;
	*ret = (struct prefix){.family = (uint8_t)family, .length = (uint8_t)length};
	memcpy(ret->address, address, size);
	return true;
}
