/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookup.h"

#include <string.h>

#include "probe.h"

static enum bits_fit fit_element(const struct ruleset_set *set, const struct ruleset_element *element,
	const struct registers *registers, size_t at)
{
	enum bits_fit fit = element->limited ? BITS_MAYBE : BITS_YES;
	size_t field_at = 0;

	if (set->key_size > REGISTERS_SIZE - at)
		return BITS_MAYBE;
	for (size_t i = 0; i < set->n_fields && fit != BITS_NO; i++) {
		size_t size = set->fields[i], begin = at + field_at;
		const uint8_t *first = element->first + field_at, *last = element->last + field_at;

		if (size > set->key_size - field_at)
			return BITS_MAYBE;
		if ((registers_causes(registers, begin, size) & CAUSE_NOT_LOOPBACK) &&
			probe_is_loopback(first, size) && probe_is_loopback(last, size))
			return BITS_NO;
		fit = bits_both(fit,
			bits_within(registers->value + begin, registers->known + begin, first, last, size));
		field_at += (size + 3) & ~(size_t)3;
		if (field_at > set->key_size)
			field_at = set->key_size;
	}
	return fit;
}

static const struct ruleset_element *find_any(const struct ruleset_set *set)
{
	for (size_t i = 0; i < set->n_elements; i++)
		if (set->elements[i].any)
			return &set->elements[i];
	return NULL;
}

const struct ruleset_element *lookup_next(struct lookup *lookup, enum bits_fit *ret_fit)
{
	const struct ruleset_set *set = lookup->set;

	if (lookup->done)
		return NULL;
	while (lookup->next < set->n_elements) {
		const struct ruleset_element *element = &set->elements[lookup->next++];

		*ret_fit = element->any ? BITS_NO : fit_element(set, element, lookup->registers, lookup->at);
		if (*ret_fit == BITS_NO)
			continue;
		lookup->done = *ret_fit == BITS_YES;
		lookup->open = true;
		return element;
	}
	lookup->done = true;
	*ret_fit = lookup->open ? BITS_MAYBE : BITS_YES;
	return find_any(set);
}

enum bits_fit lookup_fit(const struct ruleset_set *set, const struct registers *registers, size_t at)
{
	struct lookup lookup = {.set = set, .registers = registers, .at = at};
	enum bits_fit fit, best = BITS_NO;

	while (best != BITS_YES && lookup_next(&lookup, &fit))
		if (fit > best)
			best = fit;
	return best;
}
