/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets of this network namespace that can take packets, by cookie */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"

struct listening {
	struct diag_socket *sockets;
	size_t n;
};

#define LISTENING_NULL ((struct listening){})

void listening_deinit(struct listening *listening);

/* listening_read() - as they are now; Return: 0, REFUSED, or -ENOMEM */
int listening_read(struct listening *ret, struct refusal *refusal);

/* listening_find() - @cookie is hexadecimal, as in the listing; Return: NULL if it does not listen */
const struct diag_socket *listening_find(const struct listening *listening, const char *cookie);
