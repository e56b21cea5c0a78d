/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who may hand sockets in under a name, hold them, claim them and withdraw them
 *
 * Root always may. Everybody else needs a section [Access] that lists them: at least one of the keys User=, Group= and
 * Unit= must have a value, and the identity must match one value of each key that has any.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../rule/rule.h"
#include "../util/error.h"
#include "identity.h"

/* The sections [Access] and [Discover] of a rule set with users and groups as numbers. */
struct access_table;

/* Outcome of access_table_new() besides 0 */
enum {
	ACCESS_BAD = 1, /* a user or a group does not exist; the problems say which and where */
};

/*
 * access_table_new() - look the users and groups of a rule set up (getpwnam(3), getgrnam(3))
 * @set: must live as long as the table
 *
 * Return: 0, ACCESS_BAD, or a negative errno.
 */
int access_table_new(const struct rule_set *set, struct access_table **ret, struct problems *problems);
struct access_table *access_table_free(struct access_table *table);
DEFINE_CLEANUP(struct access_table, access_table_free);

/*
 * access_check() - may this identity use this rule's name?
 * @rule: of the set that the table was made from
 *
 * Return: 0, or REFUSED with EACCES and a text that names the section to edit.
 */
int access_check(const struct access_table *table, const struct rule *rule, const struct identity *identity,
	struct refusal *refusal);

/*
 * access_check_bound() - may a socket with this local address be handed in?
 *
 * The text starts with a verb: the caller writes "socket 5 " in front of it. Return: 0 or REFUSED (EACCES).
 */
int access_check_bound(
	const struct rule *rule, int family, const uint8_t *address, uint16_t port, struct refusal *refusal);

/*
 * access_check_owner() - may usher-discover hand the socket of a process in for it?
 * @owner:      the process that has the socket open
 * @executable: path of its program, or NULL if the caller does not check it
 *
 * Allows nothing that the owner could not do itself or that [Discover] does not explicitly allow. If Unit= or
 * Executable= have values, one value of each must match, whatever the user. The user must be root, or one of User= if
 * that has values, or else anybody if Unit= has values, or else one that access_check() allows.
 *
 * Return: 0, or REFUSED with EACCES and a text that names the key to edit; also when the rule has no [Discover].
 */
int access_check_owner(const struct access_table *table, const struct rule *rule,
	const struct identity *owner, const char *executable, struct refusal *refusal);

/* access_discover_uids() - User= of [Discover] as numbers, in the order of the file; borrowed from the table */
void access_discover_uids(
	const struct access_table *table, const struct rule *rule, const uid_t **ret, size_t *ret_n);
