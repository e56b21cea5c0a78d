/* SPDX-License-Identifier: BSD-3-Clause */
#include "evidence.h"

#include <stdio.h>

#include "../host/socket_owner.h"

const char *evidence_place_format(
	const struct explained_place *place, const struct place_seen *seen, char text[static WHO_MAX])
{
	const char *who = place->unit ? place->unit : seen->registrant.pid ? seen->registrant.name : NULL;

	if (who && place->pid)
		(void)snprintf(text, WHO_MAX, "%s (pid %d%s)", who, place->pid,
			seen->registrant_gone ? ", ended" : "");
	else if (who)
		(void)snprintf(text, WHO_MAX, "%s", who);
	else if (place->pid)
		(void)snprintf(text, WHO_MAX, "uid %u (pid %d%s)", place->uid, place->pid,
			seen->registrant_gone ? ", ended" : "");
	else
		(void)snprintf(text, WHO_MAX, "uid %u", place->uid);
	return text;
}

const char *evidence_listener_format(const struct listener *listener, char text[static LISTENER_TEXT_MAX])
{
	char who[SOCKET_OWNER_TEXT_MAX], endpoint[ENDPOINT_TEXT_MAX];
	const uint8_t *address;
	int family = diag_address(listener->socket, &address);

	(void)snprintf(text, LISTENER_TEXT_MAX, "%s at %s",
		socket_owner_format(listener->socket, &listener->owner, who),
		endpoint_format(family, address, listener->socket->port, endpoint));
	return text;
}
