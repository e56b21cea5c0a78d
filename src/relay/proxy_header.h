/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The header of the PROXY protocol, which says for whom a proxy connects: writing and reading versions 1 and 2 */

#include <stddef.h>

#include "../rule/rule.h"
#include "endpoint.h"

/* Longer ones are not written. */
#define PROXY_HEADER_WRITTEN_MAX 128
/* Longer ones are refused; v1 has up to 107 bytes, v2 up to 65551 by its format, and a few hundred in practice. */
#define PROXY_HEADER_READ_MAX 4096

/* Who talks to whom */
struct proxy_pair {
	struct endpoint client, server;
};

/*
 * proxy_header_write()
 * @pair: NULL: not known, or not IP
 *
 * Return: its size.
 */
size_t proxy_header_write(enum rule_send_proxy version, const struct proxy_pair *pair,
	char text[static PROXY_HEADER_WRITTEN_MAX]);

/* proxy_header_write_datagram() - of version 2, which is in front of each datagram. Return: its size */
size_t proxy_header_write_datagram(const struct proxy_pair *pair, char text[static PROXY_HEADER_WRITTEN_MAX]);

/* Outcomes of proxy_header_read(), which also returns the size of a header, a larger number */
enum {
	PROXY_HEADER_SHORT = 0, /* so far it is one; more has to come */
	PROXY_HEADER_BAD = 1,
};

/*
 * proxy_header_read() - the header at the beginning of what a connection has sent
 * @ret_known: whether the header names addresses; if so, they are in @ret
 */
size_t proxy_header_read(const char *text, size_t size, struct proxy_pair *ret, bool *ret_known);
