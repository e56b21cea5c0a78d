/* SPDX-License-Identifier: BSD-3-Clause */
#include "verbs.h"

#include <string.h>

const struct verb verbs[VERBS] = {
#define VERB(id, ...) {verb_##id, __VA_ARGS__},
#include "verbs.def"
};

const struct verb *verb_find(const char *name)
{
	for (const struct verb *verb = verbs; verb < verbs + VERBS; verb++)
		if (strcmp(verb->name, name) == 0)
			return verb;
	return NULL;
}
