/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Users and groups of this host, by name */

#include <stddef.h>
#include <sys/types.h>

enum account_kind {
	ACCOUNT_USER,
	ACCOUNT_GROUP,
};

#define ACCOUNT_NAME_MAX 255U

/* Outcome of account_find() besides 0 */
enum {
	ACCOUNT_ABSENT = 1, /* the host has none of that name */
};

/*
 * account_find() - look a name up (getpwnam_r(3), getgrnam_r(3))
 *
 * Waits for whatever service nsswitch.conf(5) names, for as long as that takes: the broker never calls this, it has a
 * process that does (worker/clerk.h).
 *
 * Return: 0, ACCOUNT_ABSENT, or a negative errno when the service did not say.
 */
int account_find(enum account_kind kind, const char *name, id_t *ret);

struct account_query {
	enum account_kind kind;
	const char *name;
	int result; /* as account_find() */
	id_t id;
};

/*
 * account_find_all() - look names up in a process of their own, for as long as @patience_ms altogether
 *
 * Those without an answer then have the result -ETIMEDOUT; without a process, all have another negative errno.
 */
void account_find_all(struct account_query *queries, size_t n, unsigned patience_ms);

/* account_word() - "user" or "group" */
const char *account_word(enum account_kind kind);
