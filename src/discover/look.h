/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One look: a scan, a hand-in of what it accepted, a word to the administrator about what it did not */

#include "../scan/scan.h"
#include "agenda.h"
#include "complaints.h"

struct looker {
	const char *socket;	     /* of the broker */
	const struct agenda *agenda; /* what was put into `early` and does not pass is to be evicted */
	struct complaints complaints;
};

struct look_outcome {
	bool is_new;	    /* one was handed in that had not been before */
	bool is_moving;	    /* a socket was on its way from one process to another, or its process ended */
	bool is_unfinished; /* it could not be done, or the broker went away: to be repeated */
};

void look_once(struct looker *looker, const struct scan *scan, struct look_outcome *ret);
