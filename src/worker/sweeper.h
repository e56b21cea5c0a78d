/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A worker that throws away what the broker does not want to have had
 *
 * A packet that nobody receives is dropped with its descriptors, and they may wait for SO_LINGER then. A descriptor of
 * which the broker has the last copy may as well. The sweeper lets each wait for a moment only; and a file whose server
 * does not answer is not asked when it was never received.
 */

#include "crew.h"

struct sweeper;
struct sweeper_skip;

/* sweeper_new() - Return: NULL without memory */
struct sweeper *sweeper_new(struct crew *crew);

/* sweeper_free() - what is not closed yet is left open, for the end of the process; accepts NULL, returns NULL */
struct sweeper *sweeper_free(struct sweeper *sweeper);

/*
 * sweeper_skip() - throw the next packet of a socket away
 * @socket: as for parcel_fetch()
 * @done:   called from the event loop; @skipped is false when it may still be there
 *
 * Return: what sweeper_cancel() takes, or NULL without memory.
 */
struct sweeper_skip *sweeper_skip(
	struct sweeper *sweeper, int socket, void (*done)(bool skipped, void *userdata), void *userdata);

/* sweeper_settle() - be called when what was to be closed is; as sweeper_skip() */
struct sweeper_skip *sweeper_settle(
	struct sweeper *sweeper, void (*done)(bool settled, void *userdata), void *userdata);

/* sweeper_cancel() - do not call `done`; nobody else may receive from the socket all the same; accepts NULL */
void sweeper_cancel(struct sweeper_skip *skip);

/*
 * sweeper_close_consume() - close a descriptor of which this may be the last copy; accepts -1
 * @drain: a connection, in whose queue packets may be: they are read first, or the other end gets ECONNRESET
 */
void sweeper_close_consume(struct sweeper *sweeper, int fd, bool drain);

/*
 * sweeper_hang_up_consume() - close the socket of a client
 * @busy: somebody may be receiving from it
 */
void sweeper_hang_up_consume(struct sweeper *sweeper, int socket, bool busy);
