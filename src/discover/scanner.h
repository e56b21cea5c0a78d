/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Scanning in a process of its own
 *
 * A walk over the descriptors of all processes holds a reference of each file for a moment, and a duplicate of a daemon's
 * socket may become the last one. To give up the last reference of a stranger's file can take as long as the stranger
 * likes. So no scan is made in the process of usher-discover itself. A child is forked that has the rules, scans on
 * request, hands in what it found, and reports the sockets that it refused.
 *
 * A child that makes no progress for SCANNER_STILL_SECONDS, or is not ready after SCANNER_MAX_SECONDS, is killed and not
 * waited for: the next scan has another one. While SCANNERS_MAX of them have not ended, no scan is made.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "../util/macro.h"
#include "ruleset.h"
#include "scanner_record.h"

#define SCANNER_STILL_SECONDS 8U /* more than the broker may take to answer */
#define SCANNER_MAX_SECONDS 300U

struct scanner_manner {
	sd_event *event;	   /* borrowed */
	const struct ruleset *set; /* borrowed */
	const char *broker;	   /* socket of the broker; borrowed */
	uint64_t netns_cookie;
	int first_fd; /* descriptors below it stay open in a child */
	void (*complain)(const struct complaint *complaint, void *userdata);
	void (*fail)(const char *reason, void *userdata);
	/* @end: of a scan that was asked for; is_unfinished when its process ended before */
	void (*end)(const struct scanner_record *end, void *userdata);
	void *userdata;
};

struct scanner;

/* scanner_new() - no process is made yet. Return: 0 or a negative errno. */
int scanner_new(const struct scanner_manner *manner, struct scanner **ret);

/* scanner_start() - ask for a scan; `end` is called after this has returned, once. Not while one is under way. */
void scanner_start(struct scanner *scanner, const struct agenda *agenda);

/* scanner_is_busy() - whether a scan is under way */
bool scanner_is_busy(const struct scanner *scanner);

/* scanner_renew() - the rules have changed: the next scan has a new process. One under way ends unfinished. */
void scanner_renew(struct scanner *scanner);

/* scanner_free() - kills the processes without waiting for them; accepts NULL, returns NULL */
struct scanner *scanner_free(struct scanner *scanner);
DEFINE_CLEANUP(struct scanner, scanner_free);
