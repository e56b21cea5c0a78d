/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What usher-discover and a process that scans for it say to each other: packets of these sizes, and no descriptors */

#include <sys/types.h>

#include "agenda.h"
#include "complaints.h"

/* Processes that scan, or have been killed and have not ended yet */
#define SCANNERS_MAX 8U

struct scanner_request {
	struct agenda agenda;
	pid_t kin[SCANNERS_MAX + 1]; /* usher-discover and its processes: what they have open is not theirs */
	size_t n_kin;
};

enum scanner_record_kind {
	SCANNER_COMPLAINT = 1, /* a socket that was refused; any number of them */
	SCANNER_FAILURE,       /* nothing could be looked at, for the reason in the complaint's text */
	SCANNER_END,	       /* the scan is over */
};

struct scanner_record {
	uint32_t kind;	    /* enum scanner_record_kind */
	bool is_new;	    /* of the end: a socket was handed in that had not been before */
	bool is_moving;	    /* a socket was on its way from one process to another, or its process ended */
	bool is_unfinished; /* it could not be done, or the broker went away: to be repeated */
	struct complaint complaint;
};

/*
 * scanner_record_check() - whether a packet is a record
 *
 * The process that sent it has looked at what strangers have open, and is not trusted with more than this.
 *
 * @size: of the packet
 */
bool scanner_record_check(const struct scanner_record *record, size_t size);
