/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is attached to devices and sees packets before the packet filters do: XDP, tc(8); bridges */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/error.h"

struct device_seen {
	uint32_t device;
	char name[16];
	bool bridge, xdp, tc;
};

struct devices_seen {
	struct device_seen *items; /* every device of this network namespace */
	size_t n;
};

#define DEVICES_SEEN_NULL ((struct devices_seen){})

/* device_programs_read() - @ret: to be released on any result. Return: 0, REFUSED or -ENOMEM. */
int device_programs_read(struct devices_seen *ret, struct refusal *refusal);
void device_programs_deinit(struct devices_seen *devices);
