/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The discoverer: when usher-discover scans, and what it does with what it finds
 *
 * It scans for everything when it reads the rules, when the broker starts, and when events may have been lost; for
 * one port when a socket starts to listen there; for one name when the broker reports that a socket of it has closed.
 * Without hooks, it scans repeatedly, with pauses that grow to the smallest ScanInterval= of the rules. With hooks,
 * it sleeps until something happens.
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
	int first_fd; /* processes that scan need the descriptors below it, which are open already */
};

/*
 * discoverer_new() - read the rules, attach the hooks; the rest happens in the event loop
 *
 * Sends READY=1 with sd_notify(3) after the first scan is handed in, or if there is no broker yet.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int discoverer_new(sd_event *event, const struct discoverer_manner *manner, struct discoverer **ret,
	struct problems *problems, struct refusal *refusal);

/* discoverer_reload() - read the rules again; if they have errors, these are reported and the old rules stay */
void discoverer_reload(struct discoverer *discoverer);

/* discoverer_free() - accepts NULL, returns NULL; sockets that were handed in are still served */
struct discoverer *discoverer_free(struct discoverer *discoverer);
DEFINE_CLEANUP(struct discoverer, discoverer_free);
