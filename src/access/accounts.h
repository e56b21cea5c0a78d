/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The users and groups that rules name, and their numbers as far as they are known
 *
 * Tables of several rule sets share one entry for each name, so that an answer applies to all of them. An entry that has
 * no number admits nobody.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../account/account.h"
#include "../util/macro.h"

struct account {
	enum account_kind kind;
	char *name;
	size_t n_references;
	bool known; /* the number is */
	id_t id;
	int result;	/* of the last lookup: as account_find() */
	uint64_t asked; /* CLOCK_MONOTONIC, microseconds: when that began; 0: never */
	void *lookup;	/* the caller's */
};

struct accounts;

/* accounts_new() - NULL: no memory */
struct accounts *accounts_new(void);

/* accounts_free() - all entries must have been dropped; accepts NULL, returns NULL */
struct accounts *accounts_free(struct accounts *accounts);
DEFINE_CLEANUP(struct accounts, accounts_free);

/* accounts_use() - the entry of a name, which is made if there is none; NULL: no memory */
struct account *accounts_use(struct accounts *accounts, enum account_kind kind, const char *name);

/* accounts_drop() - one reference less; the last one frees it */
void accounts_drop(struct accounts *accounts, struct account *account);

/* accounts_foreach() - in no order; the function must not add or drop entries */
void accounts_foreach(
	struct accounts *accounts, void (*function)(struct account *account, void *userdata), void *userdata);

/*
 * account_answer() - note what account_find() returned
 * @asked: when it was called
 *
 * If the service did not say, a number that was known stays.
 *
 * Return: whether the account has another number now, or none any more.
 */
bool account_answer(struct account *account, int result, id_t id, uint64_t asked);
