/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../util/clock.h"
#include "../util/macro.h"

#define EVENTS_MAX 64

int loop_init(struct loop *loop)
{
	*loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .last = &loop->first};
	loop->now_ms = clock_monotonic_usec() / 1000;
	return loop->epoll < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, int fd)
{
	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- timers: a heap, the earliest first */

int loop_reserve(struct loop *loop, size_t n_timers)
{
	size_t size = loop->size ? loop->size : 64;
	struct loop_timer **heap;

	while (size < n_timers)
		size *= 2;
	if (size == loop->size)
		return 0;
	heap = reallocarray(loop->heap, size, sizeof(struct loop_timer *));
	if (!heap)
		return -ENOMEM;
	loop->heap = heap;
	loop->size = size;
	return 0;
}

static void put(struct loop *loop, size_t place, struct loop_timer *timer)
{
	loop->heap[place - 1] = timer;
	timer->place = place;
}

/* Moves a timer to where it belongs, up or down from a place that is free. */
static void sift(struct loop *loop, size_t place, struct loop_timer *timer)
{
	struct loop_timer **heap = loop->heap;

	for (; place > 1 && heap[place / 2 - 1]->due_ms > timer->due_ms; place /= 2)
		put(loop, place, heap[place / 2 - 1]);
	for (;;) {
		size_t child = 2 * place;

		if (child < loop->n_timers && heap[child]->due_ms < heap[child - 1]->due_ms)
			child++;
		if (child > loop->n_timers || heap[child - 1]->due_ms >= timer->due_ms)
			break;
		put(loop, place, heap[child - 1]);
		place = child;
	}
	put(loop, place, timer);
}

void loop_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms)
{
	size_t place = timer->place ? timer->place : ++loop->n_timers;

	timer->due_ms = due_ms;
	sift(loop, place, timer);
}

void loop_unset(struct loop *loop, struct loop_timer *timer)
{
	size_t place = timer->place;
	struct loop_timer *last;

	if (!place)
		return;
	timer->place = 0;
	last = loop->heap[--loop->n_timers];
	if (last != timer)
		sift(loop, place, last);
}

static void run_timers(struct loop *loop)
{
	while (loop->n_timers && loop->heap[0]->due_ms <= loop->now_ms) {
		struct loop_timer *timer = loop->heap[0];

		loop_unset(loop, timer);
		timer->elapse(timer);
	}
}

/* ---- tasks */

void loop_later(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->last = task;
	loop->last = &task->next;
}

/* Those that are queued meanwhile have the next turn: sockets that became ready come first. */
static void run_tasks(struct loop *loop)
{
	struct loop_task *task = loop->first, *next;

	loop->first = NULL;
	loop->last = &loop->first;
	for (; task; task = next) {
		next = task->next;
		task->queued = false;
		task->run(task);
	}
}

/* ---- the loop */

void loop_deinit(struct loop *loop)
{
	while (loop->first)
		run_tasks(loop);
	(void)close(loop->epoll);
	free(loop->heap);
}

static int find_timeout(const struct loop *loop)
{
	uint64_t due;

	if (loop->first)
		return 0;
	if (!loop->n_timers)
		return -1;
	due = loop->heap[0]->due_ms;
	if (due <= loop->now_ms)
		return 0;
	return due - loop->now_ms > INT_MAX ? INT_MAX : (int)(due - loop->now_ms);
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_MAX];

	while (!loop->ended) {
		int n = epoll_wait(loop->epoll, events, EVENTS_MAX, find_timeout(loop));

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->now_ms = clock_monotonic_usec() / 1000;
		for (int i = 0; i < n; i++) {
			struct loop_source *source = events[i].data.ptr;

			source->ready(source, events[i].events);
		}
		run_timers(loop);
		run_tasks(loop);
	}
	return 0;
}

void loop_end(struct loop *loop)
{
	loop->ended = true;
}
