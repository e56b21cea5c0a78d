/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who may hand sockets in under a name, hold them, claim them and withdraw them
 *
 * Root always may. Everybody else needs a section [Access] that lists them: at least one of the keys User=, Group= and
 * Unit= must have a value, and the identity must match one value of each key that has any, UserUnit= included.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../rule/rule.h"
#include "../util/error.h"
#include "accounts.h"
#include "identity.h"

/*
 * The sections [Access] and [Discover] of a rule set, with users and groups as numbers as far as these are known. A word
 * without a number admits nobody.
 */
struct access_table;

/* A number that was looked up longer ago than this is looked up again before a hand-in counts on it. */
#define ACCESS_FRESH_SEC 10U

/*
 * access_table_new() - read the users and groups of a rule set; nothing is looked up
 * @set:      must live as long as the table
 * @accounts: shared with other tables, and must outlive this one; NULL: the table has its own
 *
 * Return: 0 or -ENOMEM.
 */
int access_table_new(const struct rule_set *set, struct accounts *accounts, struct access_table **ret);

/* Outcome of access_table_look_up() besides 0 */
enum {
	ACCESS_LATE = 1, /* not all answers came in time */
};

#define ACCESS_LOOK_UP_MS 2000U

/*
 * access_table_look_up() - ask now for all numbers that are not known, and wait ACCESS_LOOK_UP_MS at most
 *
 * Not for the broker, which never waits (broker/lookups.h). Return: 0, ACCESS_LATE, or -ENOMEM.
 */
int access_table_look_up(struct access_table *table);

/* access_table_warn() - a warning for each word whose number was looked up and is not known; Return: 0 or -ENOMEM */
int access_table_warn(const struct access_table *table, struct problems *warnings);

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
 * Allows nothing that the owner could not do itself or that [Discover] does not explicitly allow. If Unit=, UserUnit= or
 * Executable= have values, one value of each must match, whatever the user. The user must be root, or one of User= if
 * that has values, or else anybody if Unit= has values, or else one that access_check() allows.
 *
 * Return: 0, or REFUSED with EACCES and a text that names the key to edit; also when the rule has no [Discover].
 */
int access_check_owner(const struct access_table *table, const struct rule *rule,
	const struct identity *owner, const char *executable, struct refusal *refusal);

/* access_discover_uids() - User= of [Discover] as numbers, in the order of the file, as far as they are known */
size_t access_discover_uids(
	const struct access_table *table, const struct rule *rule, uid_t *ret, size_t max);

/*
 * access_doubts() - find the accounts that are to be looked up before access_check() is asked
 * @identity: NULL: any, and User= of [Discover] as well
 * @now:      CLOCK_MONOTONIC, microseconds
 *
 * Those that are not known if the identity is refused without them, and those that were asked for too long ago.
 */
void access_doubts(const struct access_table *table, const struct rule *rule, const struct identity *identity,
	uint64_t now, void (*function)(struct account *account, void *userdata), void *userdata);
