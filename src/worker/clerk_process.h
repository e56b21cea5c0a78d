/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The process that looks users and groups up: what it is asked, and what it answers (clerk.h is the broker's side) */

#include <stdint.h>

#include "../account/account.h"

struct clerk_question {
	uint32_t kind; /* enum account_kind */
	char name[ACCOUNT_NAME_MAX + 1];
};

struct clerk_answer {
	int32_t result; /* as account_find() */
	uint32_t id;
};

/*
 * clerk_run() - answer questions until the channel closes
 *
 * The modules of nsswitch.conf(5) run here, without capabilities. When one has taken so long
 * that the broker has given up, the process ends.
 */
_Noreturn void clerk_run(int channel);
