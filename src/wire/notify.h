/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The text of a datagram of the sd_notify protocol, read as the service manager reads it
 *
 * Lines KEY=VALUE; unknown ones are ignored. Unlike in message.h, a value may hold any bytes. If a key appears twice,
 * the first one counts. See sd_notify(3), and service_notify_message() in systemd's service.c.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../util/error.h"

#define NOTIFY_NAME_MAX 255

enum notify_action {
	NOTIFY_NOTHING, /* no assignment that concerns descriptors: they are closed */
	NOTIFY_BARRIER, /* BARRIER=1 alone, with one descriptor: closing it in its turn is the effect */
	NOTIFY_STORE,	/* FDSTORE=1 */
	NOTIFY_REMOVE,	/* FDSTOREREMOVE=1, with or without FDSTORE=1 */
};

struct notify {
	enum notify_action action;
	char name[NOTIFY_NAME_MAX +
		  1]; /* FDNAME=; "stored" when it is missing or not valid for NOTIFY_STORE */
	bool poll;    /* false with FDPOLL=0 */
};

/*
 * notify_parse() - read a datagram
 * @text:  @size bytes plus a terminating NUL; not changed
 * @n_fds: how many descriptors came with it
 *
 * Refused (EBADMSG): a NUL byte that is not the last one, BARRIER=1 with other assignments or without exactly one
 * descriptor, FDSTOREREMOVE=1 without a valid FDNAME=. Refused datagrams have no effect.
 *
 * Return: 0 or REFUSED.
 */
int notify_parse(struct notify *ret, const char *text, size_t size, size_t n_fds, struct refusal *refusal);
