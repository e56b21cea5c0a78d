/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket_units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/address.h"
#include "../../util/array.h"
#include "../../util/macro.h"
#include "../../util/text.h"
#include "unit.h"

void socket_units_deinit(struct socket_units *units)
{
	free(units->lines);
	free(units->names);
	*units = SOCKET_UNITS_NULL;
}

/* "192.0.2.1:80", "[::]:80", "[fe80::1%eth0]:80" or "[fe80::1]:80%eth0", as systemd prints addresses. False: not of IP. */
static bool parse_endpoint(const char *text, struct socket_line *line)
{
	const char *bracket = *text == '[' ? strchr(text, ']') : NULL;
	const char *colon = bracket ? bracket + 1 : strchr(text, ':');
	char address[INET6_ADDRSTRLEN], port[8];
	size_t length, skip = bracket ? 1 : 0;
	unsigned long number;

	if (!colon || *colon != ':')
		return false;
	length = strcspn(text + skip, bracket ? "%]" : ":");
	if (length >= sizeof(address))
		return false;
	(void)snprintf(address, sizeof(address), "%.*s", (int)length, text + skip);
	(void)snprintf(port, sizeof(port), "%.*s", (int)strcspn(colon + 1, "%"), colon + 1);
	line->family = bracket ? AF_INET6 : AF_INET;
	if (inet_pton(line->family, address, line->address) != 1 || text_to_uint(port, 65535, &number) < 0)
		return false;
	line->port = (uint16_t)number;
	return line->port;
}

static bool parse_line(const char *kind, const char *text, struct socket_line *line)
{
	if (strcmp(kind, "Stream") == 0)
		line->protocol = IPPROTO_TCP;
	else if (strcmp(kind, "Datagram") == 0)
		line->protocol = IPPROTO_UDP;
	else
		return false;
	return parse_endpoint(text, line);
}

/* What the default of BindIPv6Only= means is decided by net.ipv6.bindv6only. */
static bool is_dual_stack(const struct unit *unit)
{
	char value[8] = "";
	FILE *file;

	if (!unit_is(unit, "BindIPv6Only", "default"))
		return unit_is(unit, "BindIPv6Only", "both");
	file = fopen("/proc/sys/net/ipv6/bindv6only", "re");
	if (file) {
		if (!fgets(value, sizeof(value), file))
			*value = '\0';
		(void)fclose(file);
	}
	return *value != '1';
}

static int add_unit(struct socket_units *units, const char *name, const struct unit *unit)
{
	bool active = unit_is(unit, "ActiveState", "active") || unit_is(unit, "ActiveState", "reloading");
	bool dual_stack = is_dual_stack(unit);
	const char *kind, *text;

	if (*unit_text(unit, "NetworkNamespacePath") || unit_is(unit, "PrivateNetwork", "yes") ||
		!unit_is(unit, "LoadState", "loaded") || !unit_pairs(unit, "Listen"))
		return 0;
	while (unit_next_pair(unit, &kind, &text)) {
		struct socket_line line = {.unit = name, .active = active};

		if (!parse_line(kind, text, &line))
			continue;
		line.dual_stack =
			line.family == AF_INET6 && dual_stack && address_is_any(line.family, line.address);
		if (ARRAY_RESERVE(units->lines, units->n) < 0)
			return -ENOMEM;
		units->lines[units->n++] = line;
	}
	return 0;
}

int socket_units_read(struct manager *manager, struct socket_units *ret, struct refusal *refusal)
{
	int r;

	*ret = SOCKET_UNITS_NULL;
	r = manager_get_sockets(manager, &ret->names, refusal);
	for (const char *name = ret->names; !r && name && *name; name += strlen(name) + 1) {
		_cleanup_(unit_deinit) struct unit unit = UNIT_NULL;

		r = unit_load(manager, name, &unit, refusal);
		if (!r)
			r = add_unit(ret, name, &unit);
	}
	return r;
}

static bool is_same(const struct socket_line *line, const struct diag_socket *socket)
{
	return line->family == socket->family &&
	       address_is_same(line->family, line->address, socket->address);
}

bool socket_line_is_at(const struct socket_line *line, const struct diag_socket *socket)
{
	return line->protocol == socket->protocol && line->port == socket->port && is_same(line, socket);
}

/* IPv6 wildcards that are not v6only take IPv4 as well. */
static bool covers(int family, const uint8_t *address, bool dual_stack, int other)
{
	return address_is_any(family, address) && (family == other || dual_stack);
}

bool socket_line_wants(const struct socket_line *line, const struct diag_socket *socket)
{
	if (line->protocol != socket->protocol || line->port != socket->port)
		return false;
	return is_same(line, socket) ||
	       covers(line->family, line->address, line->dual_stack, socket->family) ||
	       covers(socket->family, socket->address, !socket->v6only, line->family);
}
