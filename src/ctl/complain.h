/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The messages of usherctl on standard error, and the exit codes that belong to them */

#include "../util/error.h"

/*
 * complain() - one line "usherctl: …" on standard error; control characters become '?'
 *
 * The text is "what 'object': reason (ERRNO); remedy", without a full stop.
 */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * complain_refusal() - one line "usherctl: WHAT: the refusal" on standard error
 * @r: the result that came with it: REFUSED, CLIENT_ABSENT, or a negative errno, which is used instead of the refusal
 *
 * Return: the exit code.
 */
int complain_refusal(int r, const struct refusal *refusal, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* complain_memory() - the message for -ENOMEM; Return: EXIT_FAILURE */
int complain_memory(void);
