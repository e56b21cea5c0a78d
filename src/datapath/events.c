/* SPDX-License-Identifier: BSD-3-Clause */
#include "events.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "event_record.h"

struct events {
	struct ring_buffer *ring;
	void (*function)(const struct usher_event *event, void *userdata);
	void *userdata;
};

static int on_record(void *userdata, void *record, size_t size)
{
	struct events *events = userdata;
	struct usher_event event;

	if (event_record_read(record, size, &event))
		events->function(&event, events->userdata);
	return 0;
}

int events_new(const struct registry *registry,
	void (*function)(const struct usher_event *event, void *userdata), void *userdata,
	struct events **ret)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	*events = (struct events){.function = function, .userdata = userdata};
	events->ring = ring_buffer__new(registry->maps[REGISTRY_EVENTS], on_record, events, NULL);
	if (!events->ring) {
		int r = -errno;

		free(events);
		return r;
	}
	*ret = events;
	return 0;
}

struct events *events_free(struct events *events)
{
	if (!events)
		return NULL;
	ring_buffer__free(events->ring);
	free(events);
	return NULL;
}

int events_fd(const struct events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

void events_read(struct events *events)
{
	(void)ring_buffer__poll(events->ring, 0);
}
