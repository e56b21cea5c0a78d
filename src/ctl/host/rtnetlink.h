/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A question to rtnetlink(7), through libmnl. Needs no privilege. */

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "../../util/error.h"

/*
 * rtnetlink_ask() - send one request, and call a function for each message of the answer
 * @header:  with type, flags and payload set; NLM_F_DUMP asks for a list
 * @reset:   empties @userdata before a dump that was interrupted is repeated; NULL when the request is no dump
 * @what:    for the refusal: "the routes"
 *
 * Return: 0, REFUSED with the errno of the kernel, or -ENOMEM, also when the function sets errno to that.
 */
int rtnetlink_ask(struct nlmsghdr *header, mnl_cb_t function, void (*reset)(void *userdata), void *userdata,
	const char *what, struct refusal *refusal);

/* rtnetlink_has() - for such a function: whether a message has a payload of that size at least; false sets errno */
bool rtnetlink_has(const struct nlmsghdr *header, size_t size);
