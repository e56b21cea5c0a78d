/* SPDX-License-Identifier: BSD-3-Clause */
#include "verbs.h"

#include <string.h>

#include "complain.h"
#include "suggest.h"

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

void verb_complain(const char *name)
{
	struct suggestion suggestion = SUGGESTION(name);

	for (const struct verb *verb = verbs; verb < verbs + VERBS; verb++)
		suggest(&suggestion, "", verb->name);
	if (suggestion.text[0])
		complain("unknown verb '%s' (EINVAL); did you mean %s?", name, suggestion.text);
	else
		complain("unknown verb '%s' (EINVAL); see usherctl --help", name);
}
