/* SPDX-License-Identifier: BSD-3-Clause */
#include "event_record.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/error.h"

static bool is_valid(const struct usher_event *event)
{
	if (event->version != USHER_EVENT_VERSION || event->seat >= USHER_SEATS_MAX ||
		!event->seat != (event->reason == USHER_EVENT_OBSTACLE) || event->passed > 1 ||
		(event->family != AF_INET && event->family != AF_INET6) ||
		(event->protocol != IPPROTO_TCP && event->protocol != IPPROTO_UDP))
		return false;
	switch (event->reason) {
	case USHER_EVENT_MISSING:
		return !event->error;
	case USHER_EVENT_REFUSED:
		return event->error < 0 && event->error >= -ERRNO_MAX;
	case USHER_EVENT_DEVICE:
		return event->error == -ENODEV;
	case USHER_EVENT_YIELDED:
	case USHER_EVENT_OBSTACLE:
		return true;
	}
	return event->reason == USHER_EVENT_LISTENED;
}

bool event_record_read(const void *record, size_t size, struct usher_event *ret)
{
	struct usher_event event = {0};

	if (size < USHER_EVENT_SIZE_MIN)
		return false;
	memcpy(&event, record, size < sizeof(event) ? size : sizeof(event));
	if (!is_valid(&event))
		return false;
	*ret = event;
	return true;
}
