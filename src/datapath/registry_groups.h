/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The groups of the registry: which sockets of a place are members, and which place a socket joins */

#include "registry.h"

/* registry_groups_read() - Return: whether the slot has a record; only sockets with SO_REUSEPORT have one */
bool registry_groups_read(
	const struct registry *registry, uint32_t seat, uint32_t slot, struct usher_group *ret);

/*
 * registry_groups_write() - replace the record of a slot; without `taken` there is none
 *
 * Return: 0 or a negative errno.
 */
int registry_groups_write(
	struct registry *registry, uint32_t seat, uint32_t slot, const struct usher_group *group);

/*
 * registry_groups_publish() - have the program look where the order and the records say
 *
 * To be called after a change of either. Until then it looks where it did.
 */
void registry_groups_publish(struct registry *registry, uint32_t seat);

/* registry_groups_members() - the sockets of a slot of the order */
void registry_groups_members(
	const struct registry *registry, uint32_t seat, uint32_t slot, __u64 ret[static USHER_GROUP_WORDS]);

/*
 * registry_groups_find() - the slot whose group the kernel has a socket in, committed or reserved
 *
 * Return: USHER_SLOTS_MAX if there is none.
 */
uint32_t registry_groups_find(const struct registry *registry, uint32_t seat, const struct usher_place *place,
	const struct registry_kin *kin);

/* registry_groups_count() - how many sockets of this owner are in groups with others */
unsigned registry_groups_count(const struct registry *registry, uint32_t owner);
