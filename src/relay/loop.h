/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The event loop of a relay: edges of sockets, one timer and one task for each connection
 *
 * sd-event has the same, with an allocation of its own for each; a connection here costs no allocation but its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What waits for a descriptor. @events: of epoll(7) */
struct loop_source {
	void (*ready)(struct loop_source *source, uint32_t events);
};

struct loop_timer {
	uint64_t due_ms;
	size_t place; /* in the heap, from 1; 0: it is not set */
	void (*elapse)(struct loop_timer *timer);
};

/* Something to do after the events that were fetched together: their owner may not go away before */
struct loop_task {
	struct loop_task *next;
	bool queued;
	void (*run)(struct loop_task *task);
};

struct loop {
	int epoll;
	uint64_t now_ms; /* when the events were fetched */
	struct loop_timer **heap;
	size_t n_timers, size;
	struct loop_task *first, **last;
	bool ended;
};

/* loop_init() - Return: 0 or a negative errno; loop_deinit() on success only; runs the tasks that are left */
int loop_init(struct loop *loop);
void loop_deinit(struct loop *loop);

/* loop_add(), loop_change() - watch a descriptor; closing its last copy ends that. Return: 0 or a negative errno */
int loop_add(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
int loop_change(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
void loop_remove(struct loop *loop, int fd);

/* loop_reserve() - make room for so many timers, so that loop_set() cannot fail. Return: 0 or -ENOMEM */
int loop_reserve(struct loop *loop, size_t n_timers);

/* loop_set() - set a timer, or move it */
void loop_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms);
void loop_unset(struct loop *loop, struct loop_timer *timer);

/* loop_later() - run a task after these events; once, however often it is asked for */
void loop_later(struct loop *loop, struct loop_task *task);

/* loop_run() - until loop_end(). Return: 0 or a negative errno */
int loop_run(struct loop *loop);
void loop_end(struct loop *loop);
