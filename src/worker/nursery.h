/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The process that workers are forked from
 *
 * It is forked itself before the broker has anything: a child of the broker would begin with copies of its memory and of
 * all its descriptors. It keeps nothing but the maps, and ends with the broker.
 *
 * Its channel takes NURSERY_MAPS with the maps of work.h, once, then NURSERY_WORKER with the end of a channel for each
 * worker, and answers those, one after another: NURSERY_WORKER with the pidfd, or NURSERY_FAILED. NURSERY_CLERK with the
 * end of a channel (clerk.h) has no answer: if there is no clerk, the channel closes.
 */

#include <sys/types.h>

#define NURSERY_MAPS "maps"
#define NURSERY_WORKER "worker"
#define NURSERY_CLERK "clerk"
#define NURSERY_FAILED "failed"

#define NURSERY_END_MS 200

/* nursery_start() - Return: 0 with the channel, close-on-exec and non-blocking, or a negative errno */
int nursery_start(int *ret_channel, pid_t *ret_pid);

/*
 * nursery_wait() - wait until it has ended with its workers, its channel being closed; NURSERY_END_MS at most
 *
 * So nothing of the service is left when the broker ends, unless a worker cannot end.
 */
void nursery_wait(pid_t pid);
