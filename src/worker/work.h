/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the broker asks of a worker, and what it reports
 *
 * Each is one packet on the channel between them, sent as it lies in memory: both are the same program. A worker does one
 * thing after another, and reports on each but WORK_KEEP.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../util/error.h"
#include "../wire/packet.h"
#include "../wire/protocol.h"
#include "inspect.h"

/* Which maps a worker has, in the order in which the nursery is given them */
enum work_map { WORK_MAP_SOCKETS, WORK_MAP_FRONT, WORK_MAPS };

enum work_kind {
	WORK_RECEIVE, /* the next packet of the socket that is attached, and look at its descriptors */
	WORK_TAKE,    /* the descriptors that are attached, and look at them */
	WORK_STAGE,   /* put descriptors into the maps; then close all, unless they are to be kept */
	WORK_CLOSE,   /* all descriptors */
	WORK_SKIP,    /* throw the next packet of the socket that is attached away */
	WORK_SETTLE,  /* nothing: what was asked for before is done */
	WORK_GREET,   /* nothing: it lives */
	WORK_KEEP,    /* have the socket that is attached until WORK_BURY */
	WORK_BURY,    /* close what is kept: the broker has closed its own */
};

/* A descriptor of the parcel that goes into a slot */
struct work_item {
	uint32_t index, seat, slot;
	uint32_t front; /* and makes the seat's entry in `front` */
};

#define WORK_ITEMS_MAX (2U * PROTOCOL_HAND_IN_MAX)

struct work {
	enum work_kind kind;
	bool announce; /* WORK_RECEIVE: report at once when nothing is left to receive */
	bool owner;    /* WORK_RECEIVE: the last descriptor is for the broker (OWNER=pidfd) */
	bool drain;    /* WORK_KEEP: read what is in the queue first, or the other end gets ECONNRESET */
	uint64_t netns_cookie;
	uint32_t n_hold, n_items;
	uint8_t hold[PROTOCOL_HAND_IN_MAX]; /* WORK_STAGE: send duplicates of these, and close nothing */
	struct work_item items[WORK_ITEMS_MAX];
};

/* A descriptor, as a worker saw it */
struct sight {
	int32_t cookie_error; /* errno of asking for its cookie */
	int32_t result;	      /* of inspect_socket() */
	uid_t maker;
	struct socket_facts facts; /* the cookie is there for every socket */
};

#define WORK_SIGHTS 48U

enum report_kind { REPORT_RECEIVED, REPORT_PARCEL, REPORT_STAGED, REPORT_CLOSED, REPORT_SKIPPED };

struct report {
	enum report_kind kind;
	int32_t result; /* 0, REFUSED (the refusal says why), PACKET_AGAIN, PACKET_END, or a negative errno */
	uint32_t failed;	   /* REPORT_STAGED: the item that -result is about */
	bool has_pidfd, has_owner; /* REPORT_PARCEL: attached, in this order */
	uint32_t refused;	   /* REPORT_PARCEL: the first descriptor that was refused */
	uint32_t total, first, n;  /* REPORT_PARCEL: comes in parts */
	struct refusal refusal;
	struct sight sights[WORK_SIGHTS];
};

/*
 * work_report_check() - whether a packet is a report
 * @report: as much of the packet as fits in
 * @size:   of the packet
 *
 * A worker has what strangers sent, and is not trusted with more than this: whether it was asked for the report is for
 * its user to say.
 */
bool work_report_check(const struct report *report, size_t size);

_Static_assert(sizeof(struct work) <= PACKET_TEXT_MAX, "work fits into a packet");
_Static_assert(sizeof(struct report) <= PACKET_TEXT_MAX, "a report fits into a packet");
