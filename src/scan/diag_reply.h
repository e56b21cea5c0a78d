/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Parses what sock_diag(7) sent, without trusting it. No I/O here. */

#include "diag.h"

struct diag_query {
	uint8_t protocol, family; /* of the request; sockets of another one are skipped */
	uint32_t sequence, portid;
	const uint16_t *ports; /* sorted, host order */
	size_t n_ports;	       /* 0: all */
};

struct diag_list {
	struct diag_socket *items;
	size_t n;
};

/* Outcomes of diag_reply_read() besides 0, which means that more datagrams follow */
enum {
	DIAG_END = 1,
	DIAG_INTERRUPTED, /* what was read so far is unusable */
};

/*
 * diag_reply_read() - one datagram of a dump
 * @data: aligned as malloc(3) does
 * @list: sockets are appended, on any result
 *
 * Return: 0, DIAG_END, DIAG_INTERRUPTED, or a negative errno: the kernel's, -EBADMSG if it is not netlink, -ENOMEM.
 */
int diag_reply_read(const struct diag_query *query, const void *data, size_t size, struct diag_list *list);
