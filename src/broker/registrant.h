/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The processes that handed something in, watched by pidfd
 *
 * Their end is a hint that sockets may have closed: the kernel takes those out of the maps without notice.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct registrants;

/* registrants_new() - @on_exit is called once for each watched process that ends */
struct registrants *registrants_new(
	sd_event *event, void (*on_exit)(pid_t pid, void *userdata), void *userdata);
struct registrants *registrants_free(struct registrants *registrants);

/* The most processes of one uid, other than root, that are watched: each costs a descriptor. */
#define REGISTRANTS_PER_UID 256U

/*
 * registrants_watch_dup() - watch a process; one that is watched already stays so
 * @pidfd: stays the caller's
 *
 * A process beyond the limit of its uid is not watched; registrants_is_watched() says so.
 *
 * Return: 0 or a negative errno.
 */
int registrants_watch_dup(struct registrants *registrants, pid_t pid, uid_t uid, int pidfd);

/* registrants_watch_pid() - the same for a process that is known by its number only; one that is gone is ignored */
int registrants_watch_pid(struct registrants *registrants, pid_t pid, uid_t uid);

/* registrants_is_watched() - whether a process is being watched, and so alive as far as is known */
bool registrants_is_watched(const struct registrants *registrants, pid_t pid);
