/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One direction of a connection: what is read from one socket is written to the other, and its end becomes an end there
 *
 * What is small is copied. A way whose reads are large takes a pipe and splices, as long as it has one. Nothing is read
 * before what was read earlier has been written, so a slow reader holds the sender back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipes.h"

#define WAY_BUFFER_SIZE 65536U

/* What the ways of a relay share */
struct way_tools {
	struct pipes pipes;
	char buffer[WAY_BUFFER_SIZE];
};

struct way {
	int from, to;
	int pipe[2]; /* -1: none */
	size_t piped;
	char *rest; /* read, and not written yet; NULL: nothing */
	uint32_t rest_start, rest_size;
	uint8_t streak; /* large reads one after the other */
	bool bulk;
	bool more;  /* an end or an error waits behind what can be read, of which no other edge will report */
	bool ended; /* the sender has ended */
	bool closed; /* and the reader has been told */
	uint64_t bytes;
};

enum way_outcome {
	WAY_WAITS,	  /* for one of the sockets, or it has ended */
	WAY_GOES_ON,	  /* there is more to do; others have their turn first */
	WAY_READ_FAILED,  /* the sender is gone; what it has sent before may still be pending */
	WAY_WRITE_FAILED, /* the reader is gone */
};

void way_init(struct way *way, int from, int to);
void way_deinit(struct way *way, struct way_tools *tools);

/* way_put_consume() - write this before anything else; takes over memory from malloc(3) */
void way_put_consume(struct way *way, char *text, size_t size);

/* way_pump() - forward what can be forwarded now. Return: enum way_outcome, or -ENOMEM */
int way_pump(struct way *way, struct way_tools *tools);

/* way_flush() - only what has been read. Return: WAY_WAITS, WAY_WRITE_FAILED */
int way_flush(struct way *way);

/* way_is_pending() - whether something has been read and not written */
static inline bool way_is_pending(const struct way *way)
{
	return way->rest || way->piped;
}
