/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The workers of a broker, and the one among them that sweeps */

#include "parcel.h"
#include "sweeper.h"

struct staff {
	struct crew *crew;
	struct sweeper *sweeper;
	int nursery;	       /* the crew's */
	uint64_t netns_cookie; /* of the namespace that is served; to be set before a parcel is looked at */
};

#define STAFF_NULL ((struct staff){.crew = NULL})

/* staff_new() - @nursery: from nursery_start(), consumed; Return: 0 or a negative errno */
int staff_new(sd_event *event, int nursery, struct staff *ret);

/* staff_free() - what was asked for last is still done */
void staff_free(struct staff *staff);
