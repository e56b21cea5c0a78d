/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A question to the kernel over netlink(7), through libmnl */

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "../../util/error.h"

/*
 * netlink_ask() - send one request, and call a function for each message of the answer
 * @bus:    NETLINK_ROUTE, NETLINK_NETFILTER
 * @header: with type, flags and payload set; NLM_F_DUMP asks for a list
 * @reset:  empties @userdata before a dump that was interrupted is repeated; NULL when the request is no dump
 *
 * Return: 0 or a negative errno; that of the function, of the kernel, or of the socket.
 */
int netlink_ask(
	int bus, struct nlmsghdr *header, mnl_cb_t function, void (*reset)(void *userdata), void *userdata);
