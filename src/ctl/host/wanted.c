/* SPDX-License-Identifier: BSD-3-Clause */
#include "wanted.h"

#include <stddef.h>
#include <sys/socket.h>

bool wanted_protocol(const struct rule *rule, uint8_t protocol)
{
	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule->matches[i].protocol == protocol)
			return true;
	return false;
}

bool wanted_describes(const struct rule_match *match, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	return match->first == socket->port &&
	       (match->prefix.family == AF_UNSPEC || prefix_contains(&match->prefix, family, address));
}

bool wanted_is_described(const struct rule *rule, const struct diag_socket *socket)
{
	if (!rule->discover.present || !wanted_protocol(rule, socket->protocol))
		return false;
	for (size_t i = 0; i < rule->discover.n_sockets; i++)
		if (wanted_describes(&rule->discover.sockets[i], socket))
			return true;
	return false;
}

const char *wanted_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX])
{
	const struct prefix *prefix = &match->prefix;

	_Static_assert(RULE_MATCH_TEXT_MAX >= ENDPOINT_TEXT_MAX, "an endpoint fits");
	if (prefix->family == AF_UNSPEC || prefix->length < (prefix->family == AF_INET ? 32 : 128))
		return rule_match_format(match, text);
	return endpoint_format(prefix->family, prefix->address, match->first, text);
}
