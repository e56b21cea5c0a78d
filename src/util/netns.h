/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Network namespaces, told apart by the cookie that the kernel gives each of them. */

#include <stdint.h>

#include "error.h"

/*
 * netns_read_cookie() - the cookie of the network namespace this process is in (SO_NETNS_COOKIE, Linux 5.14)
 *
 * Return: 0, REFUSED (ENOSYS), or a negative errno.
 */
int netns_read_cookie(uint64_t *ret, struct refusal *refusal);
