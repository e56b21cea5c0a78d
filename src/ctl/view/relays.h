/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Relays, as they count themselves: whether they run, and whether they reach a backend */

#include "../../tally/tally.h"

enum relay_state {
	RELAY_ABSENT, /* it does not run */
	RELAY_WELL,
	RELAY_UNREACHED, /* the last attempt failed with every backend that was tried */
};

/*
 * relays_look() - the relay of a name
 * @ret:     valid unless it is absent
 * @ret_worst: of RELAY_UNREACHED: the backend that was tried last
 */
enum relay_state relays_look(const char *name, struct tally *ret, const struct tally_backend **ret_worst);
