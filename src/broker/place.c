/* SPDX-License-Identifier: BSD-3-Clause */
#include "place.h"

#include <stdio.h>
#include <string.h>

#include "../util/clock.h"
#include "../util/device.h"

struct usher_place place_make(
	const struct socket_facts *facts, const struct identity *identity, enum usher_via via, uint8_t flags)
{
	struct usher_place place = {
		.cookie = facts->cookie,
		.handed_in = clock_realtime_usec(),
		.port = facts->port,
		.family = (uint8_t)facts->address_family,
		.via = (uint8_t)via,
		.flags = flags | (facts->reuseport ? USHER_PLACE_REUSEPORT : 0),
		.destination = facts->destination,
		.device = facts->device,
	};

	memcpy(place.address, facts->address, sizeof(place.address));
	place_set_owner(&place, identity);
	return place;
}

void place_set_owner(struct usher_place *place, const struct identity *identity)
{
	place->pid = (uint32_t)identity->pid;
	place->uid = identity->uid;
	place->gid = identity->gid;
	place->flags &= (uint8_t)~USHER_PLACE_VERIFIED;
	if (identity->verified)
		place->flags |= USHER_PLACE_VERIFIED;
	memset(place->unit, 0, sizeof(place->unit));
	(void)snprintf(place->unit, sizeof(place->unit), "%s", identity->unit);
}

const char *place_rule(const struct broker *broker, const char *name)
{
	const struct rule *rule = broker->generation ? rule_set_find(broker->generation->rules, name) : NULL;

	return rule ? rule->path : NULL;
}

struct observed place_observed(
	const struct broker *broker, const struct usher_seat *seat, const struct usher_place *place)
{
	return (struct observed){
		.name = seat->name,
		.rule = place_rule(broker, seat->name),
		.protocol = seat->protocol,
		.family = seat->family,
		.address = place->family ? place->address : NULL,
		.address_family = place->family,
		.port = place->port,
		.cookie = place->cookie,
		.unit = place->unit,
	};
}

const char *place_address(const struct usher_place *place, char text[static ENDPOINT_TEXT_MAX])
{
	if (!place->family) {
		(void)snprintf(text, ENDPOINT_TEXT_MAX, "an unknown address");
		return text;
	}
	return device_endpoint_format(place->family, place->address, place->port, place->device, text);
}
