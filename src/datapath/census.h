/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * How many sockets and names there are, kept while they come and go
 *
 * A socket counts once, though it may be in two seats or under several names; a name counts while it has a socket. The
 * numbers are those of what was noted last of each seat.
 */

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-bpf.h"

struct census;

/* census_new() - of no seat; NULL without memory */
struct census *census_new(void);
struct census *census_free(struct census *census);

/*
 * census_note() - what is in a seat from now on
 * @name:    its name, which is the same as long as there is a socket in it
 * @cookies: none twice
 */
void census_note(struct census *census, uint32_t seat, const char *name, const uint64_t *cookies, unsigned n);

size_t census_sockets(const struct census *census);
size_t census_names(const struct census *census);

/* census_places() - sockets, each as often as it is in a seat */
size_t census_places(const struct census *census);
