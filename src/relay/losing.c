/* SPDX-License-Identifier: BSD-3-Clause */

/* A reset of one end: the other gets what came before, then a reset */

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "connection_state.h"

#define PATIENCE_MS 30000U /* for a reader that takes nothing, when the sender has reset */
#define SETTLE_FIRST_MS 1U
#define SETTLE_LAST_MS 64U

/*
 * Closes the end that is left as soon as it has received everything: a reset discards what is still queued. The kernel
 * reports nothing when that is the case.
 */
static void settle(struct connection *connection)
{
	const struct end *left = &connection->ends[!connection->lost];
	struct loop *loop = connection->home->loop;
	int unsettled = 0;

	if (ioctl(left->fd, SIOCOUTQ, &unsettled) < 0 || !unsettled || left->broken) {
		connection_finish(connection, true);
		return;
	}
	if (connection->state != STATE_SETTLING) {
		connection->state = STATE_SETTLING;
		connection_close_end(&connection->ends[connection->lost]);
		connection->settle_ms = SETTLE_FIRST_MS;
		connection->active_ms = loop->now_ms;
	} else if (unsettled != connection->unsettled) {
		connection->active_ms = loop->now_ms;
	} else if (loop->now_ms - connection->active_ms > PATIENCE_MS) {
		connection_finish(connection, true);
		return;
	}
	connection->unsettled = unsettled;
	loop_set(loop, &connection->timer, loop->now_ms + connection->settle_ms);
	if (connection->settle_ms < SETTLE_LAST_MS)
		connection->settle_ms *= 2;
}

/* Delivers what the lost end had sent. */
static void deliver(struct connection *connection)
{
	struct connection_home *home = connection->home;
	struct way *way = &connection->ways[connection->lost];
	uint64_t before = way->bytes;
	size_t pending = way->rest_size + way->piped;
	int r = connection->drained ? way_flush(way) : way_pump(way, &home->tools);

	if (r < 0 || r == WAY_WRITE_FAILED) {
		connection_finish(connection, true);
		return;
	}
	if (r == WAY_READ_FAILED || way->ended)
		connection->drained = true;
	if (way->bytes != before || way->rest_size + way->piped != pending)
		connection->active_ms = home->loop->now_ms;
	if (r == WAY_GOES_ON)
		loop_later(home->loop, &connection->task);
	else if (connection->drained && !way_is_pending(way))
		settle(connection);
	else if (connection->state != STATE_SETTLING)
		loop_set(home->loop, &connection->timer, connection->active_ms + PATIENCE_MS);
}

/*
 * After a reset, a TCP socket reads what came before it and then says that it has ended, which must not become an end at
 * the reader: a cut answer would look like a whole one. A Unix socket that nobody reads any more has really ended.
 */
void losing_begin(struct connection *connection, int lost, bool drained)
{
	struct way *way = &connection->ways[lost];
	struct tally *tally = connection->home->tally;
	const struct settings *settings = connection->settings;
	bool local = lost == BACKEND && settings->backends[connection->backend].address.ss_family == AF_UNIX;

	*(lost == CLIENT ? &tally->reset_by_client : &tally->reset_by_backend) += 1;
	connection->state = STATE_LOST;
	connection->lost = (uint8_t)lost;
	connection->drained = drained;
	connection->active_ms = connection->home->loop->now_ms;
	way_deinit(&connection->ways[!lost], &connection->home->tools);
	if (!way->ended && (!local || drained))
		way->closed = true;
	deliver(connection);
}

void losing_advance(struct connection *connection)
{
	if (connection->state == STATE_LOST)
		deliver(connection);
	else if (connection->ends[!connection->lost].broken)
		connection_finish(connection, true);
}

void losing_elapse(struct connection *connection)
{
	struct loop *loop = connection->home->loop;

	if (connection->state == STATE_SETTLING)
		settle(connection);
	else if (loop->now_ms - connection->active_ms >= PATIENCE_MS)
		connection_finish(connection, true);
	else
		loop_set(loop, &connection->timer, connection->active_ms + PATIENCE_MS);
}
