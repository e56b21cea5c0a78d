/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What usherctl says on standard error, and what its exit code is then. */

#include "../util/error.h"

/*
 * complain() - one line "usherctl: …" on standard error; control characters become '?'
 *
 * The text is "what 'object': reason (ERRNO); remedy", without a full stop.
 */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * complain_refusal() - one line "usherctl: WHAT: the refusal" on standard error
 * @r: what came with it: REFUSED, CLIENT_ABSENT, or a negative errno, for which the refusal says nothing
 *
 * Return: the exit code.
 */
int complain_refusal(int r, const struct refusal *refusal, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* complain_memory() - for -ENOMEM, where nothing else is left to say; Return: EXIT_FAILURE */
int complain_memory(void);
