/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Held sockets: duplicates that the broker keeps, so that a socket outlives its process
 *
 * Name and cookie identify a held socket. If its process has gone and nobody has claimed it since, it is an *orphan*:
 * connections to it wait in its backlog until a process claims it or a newer socket takes its place.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct holder_entry {
	const char *name;
	uint64_t cookie;
	int fd;
	pid_t pid; /* the process that handed it in or claimed it last; 0 when not visible or gone */
};

struct holder;

/*
 * holder_new() - @close: closes a descriptor of which the broker may have the last copy
 *
 * Close(2) of it may wait for SO_LINGER. What is dropped is closed when the service manager has dropped it too.
 */
struct holder *holder_new(sd_event *event, void (*close)(int fd, void *userdata), void *userdata);

/* holder_free() - closes all held sockets, which stay in the store; accepts NULL, returns NULL */
struct holder *holder_free(struct holder *holder);

/* holder_has_room() - whether so many more can be held: the service manager's store takes store_limit() */
bool holder_has_room(const struct holder *holder, size_t n);

/*
 * holder_hold_consume() - hold a socket
 * @fd:  a duplicate for the holder; somebody else must have one too until this returns
 * @pid: of its process, or 0
 *
 * What is held under the same name and cookie already is kept, and belongs to @pid from now on. What is new goes into
 * the service manager's store as well (store.h).
 *
 * Return: 0 or a negative errno.
 */
int holder_hold_consume(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid);

/* holder_assign() - what is held under this name and cookie, if it is, belongs to this process now */
void holder_assign(struct holder *holder, const char *name, uint64_t cookie, pid_t pid);

/* holder_restore_consume() - hold a socket that the service manager gave back, without storing it again */
int holder_restore_consume(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid);

/*
 * holder_watch() - have a function called when poll(2) reports an error or a hang-up on a held socket
 *
 * That happens to a listener that was shut down, and to a UDP socket with an error pending. The service manager watches
 * its store in the same way, unless FDPOLL=0 asks it not to. The socket is still held then; the function may drop it.
 */
int holder_watch(struct holder *holder, sd_event *event, const char *name, uint64_t cookie,
	void (*function)(const char *name, uint64_t cookie, void *userdata), void *userdata);

/* holder_drop() - stop holding a socket, and take it out of the store; Return: whether it was held */
bool holder_drop(struct holder *holder, const char *name, uint64_t cookie);

/* holder_find() - an entry, or NULL; valid until the holder changes */
const struct holder_entry *holder_find(const struct holder *holder, const char *name, uint64_t cookie);

/* holder_get() - the entry at an index below holder_count(), oldest first */
const struct holder_entry *holder_get(const struct holder *holder, size_t index);
size_t holder_count(const struct holder *holder);

/* holder_adopt() - the entry at an index belongs to another process from now on */
void holder_adopt(struct holder *holder, size_t index, pid_t pid);

/* holder_orphan() - a process has gone: its sockets become orphans */
void holder_orphan(struct holder *holder, pid_t pid);
