/* SPDX-License-Identifier: BSD-3-Clause */
#include "reason.h"

/*
 * initial-exec: part of the block that each thread gets when it starts. The default model of a shared library
 * allocates on first use, and aborts the process when there is no memory.
 */
static _Thread_local struct refusal last __attribute__((tls_model("initial-exec")));

struct refusal *reason(void)
{
	return &last;
}

void reason_clear(void)
{
	last.error = 0;
	last.text[0] = '\0';
}
