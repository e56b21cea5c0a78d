/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <errno.h>
#include <string.h>

#include "../util/array.h"

static const struct rule_fault *find(const struct rule_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_faults; i++) {
		const struct rule_fault *fault = &set->faults[i];

		if (name && fault->name ? !strcmp(fault->name, name) : fault->name == name)
			return fault;
	}
	return NULL;
}

int fault_add(struct rule_set *set, const char *name, const char *text)
{
	_cleanup_free_ char *name_copy = name ? strdup(name) : NULL, *text_copy = strdup(text);

	if (find(set, name))
		return 0;
	if ((name && !name_copy) || !text_copy || ARRAY_RESERVE(set->faults, set->n_faults) < 0)
		return -ENOMEM;
	set->faults[set->n_faults++] =
		(struct rule_fault){.name = TAKE_PTR(name_copy), .text = TAKE_PTR(text_copy)};
	return 0;
}

const char *fault_find_own(const struct rule_set *set, const char *name)
{
	const struct rule_fault *fault = find(set, name);

	return fault ? fault->text : NULL;
}

const char *fault_find(const struct rule_set *set, const char *name)
{
	const struct rule_fault *fault = find(set, name);

	if (!fault && !rule_set_find(set, name))
		fault = find(set, NULL);
	return fault ? fault->text : NULL;
}

void faults_deinit(struct rule_set *set)
{
	for (size_t i = 0; i < set->n_faults; i++) {
		free(set->faults[i].name);
		free(set->faults[i].text);
	}
	free(set->faults);
}
