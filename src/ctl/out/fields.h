/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The fields of a packet, printed as they come, so that keys of a newer broker are shown too */

#include "../../wire/message.h"
#include "json.h"

/*
 * fields_print_json() - the fields as members of the open object, keys in lower case; without ROW and OK
 * @numbers, @booleans: the keys of values that are not strings, ended by KEY_NONE
 */
void fields_print_json(const struct message *message, struct json *json, const enum message_key *numbers,
	const enum message_key *booleans);

/* fields_print_text() - lines "HandedIn=1763716800000000" */
void fields_print_text(const struct message *message, FILE *out);
