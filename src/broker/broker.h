/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The broker: what usherd is, apart from its command line
 *
 * Rules become generations, one of which is current; sockets come through the doors into the registry. The state that
 * matters is pinned in the kernel. What is here may be lost: broker_adopt() finds it again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "../datapath/events.h"
#include "../datapath/pins.h"
#include "../datapath/registry.h"
#include "../holder/holder.h"
#include "../rule/changes.h"
#include "../rule/problem.h"
#include "../util/instance.h"
#include "generation.h"
#include "lookups.h"
#include "registrant.h"

struct broker {
	sd_event *event;		 /* borrowed */
	const struct instance *instance; /* borrowed */
	const char *instance_name;	 /* "" for the default one; borrowed */
	struct pins_folder pins;
	struct registry registry;
	int netns;
	uint64_t netns_cookie;
	int link;
	int adopted_program;	   /* current when the broker started, until it has made a generation; -1 */
	struct generation *parsed; /* what broker_apply() makes current */
	struct generation *generation; /* the current one */
	struct accounts *accounts;     /* that the rules of any generation name */
	struct lookups *lookups;
	bool warnings_due; /* about accounts, when they have been looked up */
	struct holder *holder;
	struct registrants *registrants;
	struct events *events;
	struct early *early;
	struct lookout *lookout;
	sd_event_source *events_source, *reap_source, *detach_source;
	struct hand_in *hand_ins; /* under way */
	struct staff *staff;	  /* borrowed */
	bool udp_noted;		  /* what becomes of UDP sockets has been reported */
	char *reload_failure;	  /* why the last reload failed; NULL when it did not */
};

#define BROKER_NULL                                                                                          \
	((struct broker){.pins = PINS_FOLDER_NULL,                                                           \
		.registry = REGISTRY_NULL,                                                                   \
		.netns = -1,                                                                                 \
		.link = -1,                                                                                  \
		.adopted_program = -1})

/* Outcomes of broker_adopt(), broker_apply() and broker_reload() besides 0 */
enum {
	BROKER_REFUSED = REFUSED, /* the refusal says why */
	BROKER_BAD_RULES,	  /* the problems say why */
};

/*
 * broker_adopt() - read the rules, and take over what an earlier broker left in the kernel
 * @instance_name: "" for the default instance
 *
 * Bad rules are found before anything is changed. What an earlier broker left goes on dispatching, by the old rules,
 * until broker_apply() succeeds. Open the doors between the two calls: rules in force without a door would refuse
 * everything that they match.
 *
 * Return: 0, BROKER_REFUSED, BROKER_BAD_RULES, or a negative errno.
 */
int broker_adopt(struct broker *broker, sd_event *event, const struct instance *instance,
	const char *instance_name, struct problems *problems, struct refusal *refusal);

/* broker_apply() - make the rules that broker_adopt() read the current ones; 0, BROKER_REFUSED, or a negative errno */
int broker_apply(struct broker *broker, struct refusal *refusal);

/* broker_announce() - give memory back that start or reload needed, and report READY=1 to the service manager */
void broker_announce(const struct broker *broker);

/* broker_close() - release everything; dispatch stays in place */
void broker_close(struct broker *broker);

/*
 * broker_reload() - read the rules again and make them current
 * @changes: set on success
 *
 * All or nothing. Reports the outcome to the administrator and to the service manager.
 *
 * Return: 0, BROKER_REFUSED, BROKER_BAD_RULES, or a negative errno.
 */
int broker_reload(struct broker *broker, struct rule_changes *changes, struct problems *problems,
	struct refusal *refusal);

/*
 * broker_detach() - remove everything from the kernel
 *
 * Afterwards the broker can do nothing more, and ends its event loop. When refused, whatever is left still dispatches.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int broker_detach(struct broker *broker, struct refusal *refusal);
