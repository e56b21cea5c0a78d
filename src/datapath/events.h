/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The ring buffer in which the program reports why it could not dispatch: hints, rate-limited, lost when it is full */

#include "../../bpf/usher-bpf.h"
#include "registry.h"

struct events;

/* events_new() - @function is called by events_read() for each event (event_record.h) */
int events_new(const struct registry *registry,
	void (*function)(const struct usher_event *event, void *userdata), void *userdata,
	struct events **ret);
struct events *events_free(struct events *events);

/* events_fd() - becomes readable when there are events; stays the object's own */
int events_fd(const struct events *events);

/* events_read() - call the function for each event that is there, without waiting */
void events_read(struct events *events);
