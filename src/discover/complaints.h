/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The refused sockets that have been reported, so that each is reported once and not by every scan */

#include "../scan/scan.h"
#include "../util/name.h"

#define COMPLAINTS_MAX 1024U /* the oldest are forgotten */

struct complaints {
	struct {
		uint64_t cookie;
		int error;
		char name[NAME_LENGTH_MAX + 1];
	} items[COMPLAINTS_MAX];
	size_t n; /* made so far; the next one goes to n % COMPLAINTS_MAX */
};

/* complaints_report() - report a refused candidate, unless it was reported for this reason before */
void complaints_report(struct complaints *complaints, const struct scan_candidate *candidate);
