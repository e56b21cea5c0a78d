/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One look: scan, hand in what is accepted, complain of each socket that is refused */

#include "../scan/scan.h"
#include "agenda.h"
#include "complaints.h"

struct looker {
	const char *socket; /* of the broker */
	void (*complain)(const struct complaint *complaint, void *userdata);
	void (*fail)(const char *reason, void *userdata); /* nothing could be looked at */
	void *userdata;
};

struct look_outcome {
	bool is_new;	    /* a socket was handed in for the first time */
	bool is_moving;	    /* a socket was passed between processes, or its process ended */
	bool is_unfinished; /* it failed, or the broker was lost: to be repeated */
};

/*
 * look_once()
 * @agenda: a socket in its `early` that is not accepted is evicted
 *
 * When this process runs out of descriptors it looks at each rule by itself, so that what one rule needs is closed before
 * the next one is looked at.
 */
void look_once(const struct looker *looker, const struct scan *scan, const struct agenda *agenda,
	struct look_outcome *ret);
