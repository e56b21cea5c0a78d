/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A connection from inside: connecting.c begins it, connection.c is its life, losing.c its end by a reset. */

#include "connection.h"
#include "proxy_header.h"

enum { CLIENT, BACKEND, NOBODY };

enum state {
	STATE_HEADER,	  /* waits for the PROXY header of the client */
	STATE_CONNECTING, /* to a backend */
	STATE_FAILED,	  /* tries the next backend after the events of the last one's socket */
	STATE_RETRYING,	  /* waits for a moment, then tries the same backend again */
	STATE_OPEN,
	STATE_LOST,	/* one end has reset; the other gets what came before */
	STATE_SETTLING, /* it has been written; the reset follows when it has been received */
	STATE_OVER,
};

struct end {
	struct loop_source source;
	struct connection *connection;
	int fd;
	bool broken; /* EPOLLERR: a reset, whether or not reading has come to it */
};

struct connection {
	struct connection_home *home;
	struct connection *next, **link; /* in the list of the home; link: what points to it */
	struct settings *settings;
	struct end ends[2];
	struct way ways[2]; /* ways[CLIENT] is read from the client */
	struct loop_timer timer;
	struct loop_task task;
	uint64_t active_ms;	 /* the last byte, either way */
	uint64_t give_up_ms;	 /* on this backend; 0: never */
	struct proxy_pair *pair; /* from the header of the client's proxy; NULL: the socket's own addresses */
	uint32_t settle_ms;
	int unsettled; /* bytes */
	uint8_t state, lost;
	uint8_t backend; /* that is tried or used */
	bool drained;	 /* STATE_LOST: all that the lost end has sent was read */
};

/* connection_finish() - close both sockets, with a reset or without */
void connection_finish(struct connection *connection, bool reset);

/* connection_close_end() - close one of them, if it is open */
void connection_close_end(struct end *end);

/* connection_open() - the backend has been reached: begin to forward */
void connection_open(struct connection *connection);

/* connecting_begin() - for a client that was accepted: read its header, or connect */
void connecting_begin(struct connection *connection, bool header);

/* connecting_advance(), connecting_elapse() - in the states before STATE_OPEN: after an event, and a timer */
void connecting_advance(struct connection *connection);
void connecting_elapse(struct connection *connection);

/* connecting_try() - connect to one backend after the other, from the one that is due on; a task in STATE_FAILED */
void connecting_try(struct connection *connection);

/* connecting_find_pair() - the addresses between which the client talks; false: there are none */
bool connecting_find_pair(const struct connection *connection, struct proxy_pair *ret);

/*
 * losing_begin() - one end is gone
 * @lost:    CLIENT or BACKEND
 * @drained: everything that it had sent has been read
 */
void losing_begin(struct connection *connection, int lost, bool drained);

/* losing_advance(), losing_elapse() - in STATE_LOST and STATE_SETTLING */
void losing_advance(struct connection *connection);
void losing_elapse(struct connection *connection);
