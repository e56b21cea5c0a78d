/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A match or a target of xtables in a rule of nf_tables, as iptables-nft writes it */

#include <stdbool.h>

#include "attributes.h"
#include "evaluation.h"

/* The layout of what it was given is that of the headers of the kernel, by name and revision. */
struct extension {
	const char *name;
	uint32_t revision;
	const void *info;
	size_t size;
};

/* extension_read() - both kinds have the same attributes */
void extension_read(const struct attributes *attributes, struct extension *ret);

/* extension_copy() - Return: false when it is another revision than the one that is known, or too short */
bool extension_copy(const struct extension *extension, uint32_t revision, void *info, size_t size);

/* One that is known: false from `function` when it cannot read this revision */
struct known_extension {
	const char *name;
	bool (*function)(struct evaluation *evaluation, const struct extension *extension);
};

/*
 * extension_evaluate() - with the one of its name
 * @kind: "match" or "target"
 *
 * Return: false when none can; whether the rule fits depends on the extension then.
 */
bool extension_evaluate(const struct extension *extension, const struct known_extension *known, size_t n,
	const char *kind, struct evaluation *evaluation);
