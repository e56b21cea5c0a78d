/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The record of a socket, and messages about it */

#include "../access/identity.h"
#include "../observe/observe.h"
#include "../util/address.h"
#include "../worker/inspect.h"
#include "broker.h"

/* place_make() - the record of a socket that is handed in now; @flags are USHER_PLACE_* */
struct usher_place place_make(
	const struct socket_facts *facts, const struct identity *identity, enum usher_via via, uint8_t flags);

/* place_set_owner() - record the process that handed a socket in or claimed it */
void place_set_owner(struct usher_place *place, const struct identity *identity);

/* place_observed() - fields of a message about a place; borrows. The process counts as gone: set `pid` if it is not. */
struct observed place_observed(
	const struct broker *broker, const struct usher_seat *seat, const struct usher_place *place);

/* place_rule() - path of the rule of a name, or NULL */
const char *place_rule(const struct broker *broker, const char *name);

/* place_address() - local address and port, and the device to which it is bound */
const char *place_address(const struct usher_place *place, char text[static ENDPOINT_TEXT_MAX]);
