/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen_record.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

bool listen_record_check(const void *record, size_t size)
{
	const struct usher_listen *listen = record;

	return size >= sizeof(*listen) && listen->port && listen->pid <= INT32_MAX && listen->early <= 1 &&
	       (listen->family == AF_INET || listen->family == AF_INET6) &&
	       (listen->protocol == IPPROTO_TCP || listen->protocol == IPPROTO_UDP);
}
