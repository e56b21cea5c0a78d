/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One look: scan, hand in what is accepted, report what is refused */

#include "../scan/scan.h"
#include "agenda.h"
#include "complaints.h"

struct looker {
	const char *socket;	     /* of the broker */
	const struct agenda *agenda; /* a socket in its `early` that is not accepted is evicted */
	struct complaints complaints;
};

struct look_outcome {
	bool is_new;	    /* a socket was handed in for the first time */
	bool is_moving;	    /* a socket was passed between processes, or its process ended */
	bool is_unfinished; /* it failed, or the broker was lost: to be repeated */
};

void look_once(struct looker *looker, const struct scan *scan, struct look_outcome *ret);
