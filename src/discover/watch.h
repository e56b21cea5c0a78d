/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The hooks for the rules in force, in the event loop; that there are none is reported once */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "../hooks/hooks.h"
#include "../rule/rule.h"

struct watch_handlers {
	void (*listen)(const struct usher_listen *listen, void *userdata);
	void (*lost)(void *userdata); /* events were lost: everything is to be scanned */
	void *userdata;
};

struct watch {
	sd_event *event;    /* borrowed */
	const char *cgroup; /* root of cgroup v2; borrowed */
	const char *pins;   /* folder of the broker's pins; borrowed */
	uint64_t netns_cookie;
	struct watch_handlers handlers;
	struct hooks *hooks; /* NULL: nothing reports that a socket begins to listen */
	sd_event_source *source;
	uint64_t lost;
	bool told_none, told_kernel; /* what has been reported already */
};

/*
 * watch_replace() - attach hooks for a rule set, then detach the previous ones, so that no event is missed
 *
 * Call it also when the broker has started: with Listen=kernel, the hooks write to the maps of the broker.
 */
void watch_replace(struct watch *watch, const struct rule_set *rules);

/* watch_again() - hooks_want_again(), if there are hooks */
void watch_again(struct watch *watch, uint8_t protocol, uint16_t port);
void watch_deinit(struct watch *watch);
