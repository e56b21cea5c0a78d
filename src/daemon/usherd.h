/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* usherd: the broker, the doors that lead to it, and records of the requests that come through them */

#include "../broker/broker.h"
#include "../intake/door.h"
#include "../intake/notify_door.h"
#include "monitor.h"
#include "refusals.h"
#include "tally.h"

struct usherd {
	struct broker broker;
	struct staff staff;
	struct door *door;
	struct notify_door *notify_door;
	struct storing *storings; /* what came through it and is under way */
	struct monitor *monitor;
	struct tally tally;
	struct refusals refusals;
	uint64_t started; /* CLOCK_REALTIME, microseconds */
};

#define USHERD_NULL ((struct usherd){.broker = BROKER_NULL, .staff = STAFF_NULL})
