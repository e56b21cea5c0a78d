/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What stands between the lookup and the socket: the BPF programs of the cgroup in which the socket was created. Those of
 * systemd do what the settings of the unit say.
 */

#include "../host/admission.h"
#include "explanation.h"
#include "host_view.h"

struct guard {
	char unit[NAME_MAX + 1]; /* of the socket; "": not looked at, or none */
	struct admission admission;
	enum { GUARD_ADMITS, GUARD_OPEN, GUARD_REFUSES } verdict;
	/* what decides the verdict; NULL: that does not */
	const struct admission_prefix *prefix;
	const struct admission_devices *devices;
	char program[64], folder[PATH_MAX]; /* a program of somebody else, and where; "": none */
	bool gone;		/* the cgroup is, and there are programs that may have been there */
	struct refusal unknown; /* error is 0 unless the settings of the unit act and are not known */
};

#define GUARD_NULL ((struct guard){})

/* guard_read() - of the socket that gets the packet; @ret: to be released on any result. Return: 0 or -ENOMEM. */
int guard_read(const struct asked *asked, const struct explanation *explanation, const struct host_view *host,
	struct guard *ret);
void guard_deinit(struct guard *guard);

/* guard_is_open() - something may act that was not looked at, or not asked for */
bool guard_is_open(const struct guard *guard);
