/* SPDX-License-Identifier: BSD-3-Clause */
#include "way.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ROUNDS_MAX 16	    /* of a turn: a MiB copied, 16 MiB spliced */
#define BULK_SIZE 16384	    /* a read of that size is large */
#define BULK_STREAK 4	    /* so many of them begin a bulk transfer */
#define SPLICE_ENOUGH 8192  /* a smaller one ends it */
#define SPLICE_DRAINED 4096 /* and after one of that size the socket is taken for empty */

void way_init(struct way *way, int from, int to)
{
	*way = (struct way){.from = from, .to = to, .pipe = {-1, -1}};
}

static void give_back(struct way *way, struct way_tools *tools)
{
	if (way->pipe[0] >= 0)
		pipes_return(&tools->pipes, way->pipe, way->piped);
	way->piped = 0;
}

void way_deinit(struct way *way, struct way_tools *tools)
{
	give_back(way, tools);
	free(way->rest);
	way->rest = NULL;
}

void way_put_consume(struct way *way, char *text, size_t size)
{
	way->rest = text;
	way->rest_start = 0;
	way->rest_size = (uint32_t)size;
}

static bool is_waiting(int error)
{
	return error == EAGAIN || error == EINTR;
}

static int flush_rest(struct way *way)
{
	ssize_t n = send(way->to, way->rest + way->rest_start, way->rest_size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return is_waiting(errno) ? WAY_WAITS : WAY_WRITE_FAILED;
	way->rest_start += (uint32_t)n;
	way->rest_size -= (uint32_t)n;
	if (!way->rest_size) {
		free(way->rest);
		way->rest = NULL;
	}
	return WAY_WAITS;
}

/* Never SPLICE_F_MORE: it would keep a short piece back for 200 ms. */
static int flush_pipe(struct way *way)
{
	ssize_t n = splice(way->pipe[0], NULL, way->to, NULL, way->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0)
		return is_waiting(errno) ? WAY_WAITS : WAY_WRITE_FAILED;
	way->piped -= (size_t)n;
	return WAY_WAITS;
}

int way_flush(struct way *way)
{
	int r = way->rest ? flush_rest(way) : WAY_WAITS;

	if (!r && !way->rest && way->piped)
		r = flush_pipe(way);
	return r;
}

/* Writes from the shared buffer; what is not taken is kept. */
static int write_out(struct way *way, const char *buffer, size_t size)
{
	ssize_t n = send(way->to, buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	char *rest;

	if (n < 0 && !is_waiting(errno))
		return WAY_WRITE_FAILED;
	n = n < 0 ? 0 : n;
	if ((size_t)n == size)
		return 0;
	rest = malloc(size - (size_t)n);
	if (!rest)
		return -ENOMEM;
	memcpy(rest, buffer + n, size - (size_t)n);
	way_put_consume(way, rest, size - (size_t)n);
	return 0;
}

static int note_end(struct way *way, ssize_t n, bool *again)
{
	*again = false;
	if (n < 0 && errno == EINTR)
		*again = true;
	else if (n < 0 && errno != EAGAIN)
		return WAY_READ_FAILED;
	else if (!n)
		way->ended = true;
	return 0;
}

static int copy(struct way *way, char *buffer, bool *again)
{
	ssize_t n = recv(way->from, buffer, WAY_BUFFER_SIZE, MSG_DONTWAIT);

	if (n <= 0)
		return note_end(way, n, again);
	way->bytes += (uint64_t)n;
	way->streak = (size_t)n < BULK_SIZE ? 0 : way->streak + (way->streak < BULK_STREAK);
	way->bulk = way->streak == BULK_STREAK;
	/* A short read has emptied the socket, unless an edge has been there already. */
	*again = (size_t)n == WAY_BUFFER_SIZE || way->more || way->bulk;
	return write_out(way, buffer, (size_t)n);
}

/*
 * Fills an empty pipe only: of one with something in it, EAGAIN would not say which of the two, socket or pipe, has to be
 * waited for.
 */
static int fill_pipe(struct way *way, bool *again)
{
	ssize_t n =
		splice(way->from, NULL, way->pipe[1], NULL, PIPES_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n <= 0)
		return note_end(way, n, again);
	way->bytes += (uint64_t)n;
	way->piped = (size_t)n;
	way->bulk = n >= SPLICE_ENOUGH;
	way->streak = way->bulk ? BULK_STREAK : 0;
	*again = n >= SPLICE_DRAINED || way->more;
	return 0;
}

static int forward(struct way *way, struct way_tools *tools)
{
	bool again = true;

	for (unsigned round = 0;; round++) {
		int r = way_flush(way);

		if (r || way_is_pending(way) || way->ended || !again)
			return r;
		if (round == ROUNDS_MAX)
			return WAY_GOES_ON;
		if (way->bulk && (way->pipe[0] >= 0 || pipes_borrow(&tools->pipes, way->pipe)))
			r = fill_pipe(way, &again);
		else
			r = copy(way, tools->buffer, &again);
		if (r)
			return r;
	}
}

int way_pump(struct way *way, struct way_tools *tools)
{
	int r = forward(way, tools);

	if (way->ended && !way->closed && !way_is_pending(way)) {
		way->closed = true;
		(void)shutdown(way->to, SHUT_WR);
	}
	if (!way->piped)
		give_back(way, tools);
	return r;
}
