/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The discoverer: when usher-discover looks, and what becomes of what it finds
 *
 * It looks for everything when the rules are read, when the broker comes, and when events may have been lost; for one
 * port when a socket starts to listen there; for one name when the broker says that a socket of it has closed. Without
 * hooks it looks again and again, with pauses that grow to the smallest ScanInterval= of the rules. With them nothing
 * wakes it while nothing happens.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "../rule/problem.h"
#include "../util/error.h"
#include "../util/instance.h"
#include "ruleset.h"

struct discoverer;

struct discoverer_manner {
	const struct instance *instance; /* borrowed */
	const char *socket;		 /* of the broker; borrowed */
	const char *cgroup;		 /* root of cgroup v2; borrowed */
};

/* Outcomes of discoverer_new() besides 0 and REFUSED */
enum {
	DISCOVERER_BAD_RULES = RULESET_BAD, /* the problems say why */
};

/*
 * discoverer_new() - read the rules, attach the hooks; the rest happens in the event loop
 *
 * sd_notify(3) tells READY=1 when the first scan has been handed in, or there is no broker yet.
 *
 * Return: 0, DISCOVERER_BAD_RULES, REFUSED, or a negative errno.
 */
int discoverer_new(sd_event *event, const struct discoverer_manner *manner, struct discoverer **ret,
	struct problems *problems, struct refusal *refusal);

/* discoverer_reload() - read the rules again; bad ones are reported and the old ones stay */
void discoverer_reload(struct discoverer *discoverer);

/* discoverer_free() - accepts NULL, returns NULL; what was handed in goes on being served */
struct discoverer *discoverer_free(struct discoverer *discoverer);
DEFINE_CLEANUP(struct discoverer, discoverer_free);
