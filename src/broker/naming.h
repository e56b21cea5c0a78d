/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The users and groups that the rules name: what becomes of the answers */

#include "broker.h"

/*
 * naming_begin() - from now on the broker has processes, and can look names up
 * @staff: must outlive the broker
 */
int naming_begin(struct broker *broker, struct staff *staff);

/* naming_look_up() - everything that the current rules name; what is not known then is reported to the administrator */
void naming_look_up(struct broker *broker);

/* naming_admits() - access_check(), or whether it may turn out so when the users and groups have been looked up */
int naming_admits(const struct broker *broker, const struct rule *rule, const struct identity *identity,
	struct refusal *refusal);

/*
 * naming_wait() - wait for the users and groups that decide whether a request may use a name
 * @identity: as for access_doubts()
 * @wait:     from lookups_wait()
 */
void naming_wait(const struct broker *broker, const char *name, const struct identity *identity,
	struct lookup_wait *wait);
