/* SPDX-License-Identifier: BSD-3-Clause */
#include "evidence.h"

#include <stdio.h>

#include "../../util/device.h"
#include "../host/socket_owner.h"

bool evidence_is_sent_away(const struct evidence *evidence)
{
	return evidence->passage->sent &&
	       (evidence->passage->loopback == LOOPBACK_DROPPED || reach_is_away(&evidence->host->reach));
}

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

static const struct diag_socket *see(const struct evidence *evidence, const struct explained_place *place)
{
	return evidence->host->places[place - evidence->explanation->places].socket;
}

uint32_t evidence_place_device(const struct evidence *evidence, const struct explained_place *place)
{
	const struct diag_socket *socket = see(evidence, place);

	return socket ? socket->interface : 0;
}

bool evidence_place_is_transparent(const struct evidence *evidence, const struct explained_place *place)
{
	const struct diag_socket *socket = see(evidence, place);

	return socket && socket->transparent;
}

const char *evidence_place_address(const struct evidence *evidence, const struct explained_place *place,
	char text[static ENDPOINT_TEXT_MAX])
{
	const struct diag_socket *socket = see(evidence, place);
	const uint8_t *address;
	int family;

	if (!socket) {
		(void)snprintf(text, ENDPOINT_TEXT_MAX, "%s", place->text);
		return text;
	}
	family = diag_address(socket, &address);
	return device_endpoint_format(family, address, socket->port, socket->interface, text);
}

const char *evidence_device_format(const struct asked *asked, char text[static EVIDENCE_DEVICE_MAX])
{
	char device[DEVICE_TEXT_MAX], ingress[DEVICE_TEXT_MAX];

	(void)snprintf(text, EVIDENCE_DEVICE_MAX,
		asked->device == asked->ingress ? "%s" : "%s (which counts as %s)",
		device_format(asked->device, device), device_format(asked->ingress, ingress));
	return text;
}

const char *evidence_listener_format(const struct listener *listener, char text[static LISTENER_TEXT_MAX])
{
	char who[SOCKET_OWNER_TEXT_MAX], endpoint[ENDPOINT_TEXT_MAX];
	const uint8_t *address;
	int family = diag_address(listener->socket, &address);

	(void)snprintf(text, LISTENER_TEXT_MAX, "%s at %s",
		socket_owner_format(listener->socket, &listener->owner, who),
		device_endpoint_format(
			family, address, listener->socket->port, listener->socket->interface, endpoint));
	return text;
}
