/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Held sockets: duplicates that the broker keeps, so that a socket outlives its process
 *
 * A held socket is known by its name and cookie. The one whose process has gone and that nobody claimed since is an
 * *orphan*: connections to it wait in its backlog until somebody claims it, or until a newer socket takes its place.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* Outcome of holder_dup() besides 0 */
enum {
	HOLDER_FULL = 1, /* the service manager's store takes no more: store_limit() */
};

struct holder_entry {
	const char *name;
	uint64_t cookie;
	int fd;
	pid_t pid; /* who handed it in or claimed it last; 0 when not visible or gone */
};

struct holder;

struct holder *holder_new(void);

/* holder_free() - closes everything that is held, which stays in the store; accepts NULL, returns NULL */
struct holder *holder_free(struct holder *holder);

/*
 * holder_dup() - hold a duplicate of a socket
 * @fd:  stays the caller's
 * @pid: of its process, or 0
 *
 * What is held under the same name and cookie already is kept, and belongs to @pid from now on. What is new goes into
 * the service manager's store as well (store.h).
 *
 * Return: 0, HOLDER_FULL, or a negative errno; -EMFILE when the broker has no descriptor left.
 */
int holder_dup(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid);

/* holder_restore_consume() - hold a socket that the service manager gave back; the same without storing it again */
int holder_restore_consume(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid);

/*
 * holder_watch() - have a function called when poll(2) reports an error or a hang-up on a held socket
 *
 * As the service manager does with its store unless FDPOLL=0 asks it not to: a listener that was shut down, or a UDP
 * socket with an error pending. The socket is still held then; the function may drop it.
 */
int holder_watch(struct holder *holder, sd_event *event, const char *name, uint64_t cookie,
	void (*function)(const char *name, uint64_t cookie, void *userdata), void *userdata);

/* holder_drop() - stop holding, and take it out of the store; Return: whether it was held */
bool holder_drop(struct holder *holder, const char *name, uint64_t cookie);

/* holder_find() - an entry, or NULL; valid until the holder changes */
const struct holder_entry *holder_find(const struct holder *holder, const char *name, uint64_t cookie);

/* holder_get() - the entry at an index below holder_count(), in the order in which they came */
const struct holder_entry *holder_get(const struct holder *holder, size_t index);
size_t holder_count(const struct holder *holder);

/* holder_adopt() - what is held at an index belongs to another process now */
void holder_adopt(struct holder *holder, size_t index, pid_t pid);

/* holder_orphan() - a process has gone */
void holder_orphan(struct holder *holder, pid_t pid);
