/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the registry reads in a seat, for its other files; registry.h has the walk */

#include "registry.h"

uint64_t registry_walk_order(const struct registry *registry, uint32_t seat);

/* registry_walk_cookie() - Return: whether there is a socket, which lives */
bool registry_walk_cookie(const struct registry *registry, const struct usher_place_key *key, uint64_t *ret);

/* registry_walk_recall() - what is remembered of a socket; nothing if there is nothing, or if it is damaged */
void registry_walk_recall(
	const struct registry *registry, const struct usher_place_key *key, struct usher_place *ret);
