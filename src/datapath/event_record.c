/* SPDX-License-Identifier: BSD-3-Clause */
#include "event_record.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ERRNO_MAX 4095 /* include/linux/err.h */

bool event_record_check(const void *record, size_t size)
{
	const struct usher_event *event = record;

	if (size < sizeof(*event) || event->version != USHER_EVENT_VERSION || !event->seat ||
		event->seat >= USHER_SEATS_MAX || event->passed > 1 ||
		(event->family != AF_INET && event->family != AF_INET6) ||
		(event->protocol != IPPROTO_TCP && event->protocol != IPPROTO_UDP))
		return false;
	switch (event->reason) {
	case USHER_EVENT_MISSING:
		return !event->error;
	case USHER_EVENT_REFUSED:
		return event->error < 0 && event->error >= -ERRNO_MAX;
	}
	return event->reason == USHER_EVENT_LISTENED;
}
