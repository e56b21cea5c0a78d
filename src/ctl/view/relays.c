/* SPDX-License-Identifier: BSD-3-Clause */
#include "relays.h"

#include <stddef.h>

enum relay_state relays_look(const char *name, struct tally *ret, const struct tally_backend **ret_worst)
{
	const struct tally_backend *last = NULL;

	if (!tally_read(name, ret))
		return RELAY_ABSENT;
	for (uint32_t i = 0; i < ret->n_backends; i++) {
		const struct tally_backend *backend = &ret->backends[i];

		if (backend->last_usec && !backend->last_error)
			return RELAY_WELL;
		if (backend->last_usec && (!last || backend->last_usec >= last->last_usec))
			last = backend;
	}
	*ret_worst = last;
	return last ? RELAY_UNREACHED : RELAY_WELL;
}
