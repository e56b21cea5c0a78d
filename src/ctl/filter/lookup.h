/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A key in registers, and the elements of a set of nf_tables */

#include "bits.h"
#include "registers.h"
#include "ruleset.h"

struct lookup {
	const struct ruleset_set *set;
	const struct registers *registers;
	size_t at; /* where the key begins */
	size_t next;
	bool open, done; /* an element that may fit was found; there are no more */
};

/*
 * lookup_next() - the next element that fits, or may fit
 * @lookup: the first three members set
 *
 * The element for anything else comes last, unless another one fits for certain.
 *
 * Return: NULL when there is no more.
 */
const struct ruleset_element *lookup_next(struct lookup *lookup, enum bits_fit *ret_fit);

/* lookup_fit() - is the key in the set? */
enum bits_fit lookup_fit(const struct ruleset_set *set, const struct registers *registers, size_t at);
