/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The client's end of usher.sock: connect, send a request, read rows and outcome, all before a deadline
 *
 * The library and usherctl speak to the broker only through this. Every failure, the broker's and our own, is
 * REFUSED, with an errno for programs and a reason for people; there are no negative returns. The reason does
 * not name the request ("cannot hand in 'web'"): the caller knows it.
 *
 *	_cleanup_(client_close) struct client client = CLIENT_NULL;
 *	struct writer request;
 *
 *	r = client_open(&client, NULL, 0, &refusal);
 *	client_begin(&request, REQUEST_LIST);
 *	writer_put(&request, KEY_NAME, "%s", name);
 *	r = client_request(&client, &request, NULL, 0, &refusal);
 *	while ((r = client_next(&client, &refusal)) == CLIENT_ROW)
 *		show(message_get(&client.message, KEY_NAME));
 *	if (r == 0)
 *		... client.message is the packet with OK=1
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "../util/error.h"
#include "../wire/message.h"
#include "../wire/packet.h"

#define CLIENT_TIMEOUT_DEFAULT_MS 5000

/* Outcomes besides 0 */
enum {
	CLIENT_REFUSED = REFUSED, /* the refusal says why */
	CLIENT_ABSENT, /* client_open(): no broker listens (ENOENT, ECONNREFUSED); the refusal says where */
	CLIENT_ROW,    /* client_next(): a row came, there is more */
};

/* Initialise with CLIENT_NULL. Points into itself after client_next(): do not copy it. */
struct client {
	int socket; /* -1 when not connected: before client_open(), and after a failure of our own */
	int timeout_ms;
	uint64_t deadline;	    /* CLOCK_MONOTONIC in ns; see client_renew() */
	struct sockaddr_un address; /* sun_path is always terminated */
	struct packet reply; /* the last packet; take its descriptors with TAKE_FD, the others are closed */
	struct message message; /* its fields */
};

#define CLIENT_NULL ((struct client){.socket = -1, .reply.pidfd = -1})

/*
 * client_open() - connect to the broker, and set the deadline for everything that follows
 * @path:       NULL for $USHER_SOCKET (not in a set-user-ID program), else the default instance's socket
 * @timeout_ms: until the deadline, in milliseconds; 0 for CLIENT_TIMEOUT_DEFAULT_MS
 *
 * Waits while the broker's backlog is full. Refused: a negative timeout (EINVAL), a path that does not fit in a
 * socket address (ENAMETOOLONG), ETIMEDOUT, any other error of socket(2) and connect(2).
 *
 * Return: 0, REFUSED or CLIENT_ABSENT.
 */
int client_open(struct client *client, const char *path, int timeout_ms, struct refusal *refusal);

/* client_renew() - before another request: start the timeout of client_open() again */
void client_renew(struct client *client);

/* client_begin() - start the text of a request: REQUEST=@verb and VERSION=; add keys with writer_put() */
void client_begin(struct writer *ret, enum request_verb verb);

/*
 * client_request() - send a request
 * @fds, @n_fds: descriptors that go along; they stay the caller's. FDS= is added to the text.
 *
 * Refused: a request that does not fit in a packet, or too many descriptors (E2BIG); a descriptor that is not
 * open (EBADF); ETIMEDOUT; any other error of sendmsg(2). If the broker has closed the connection, client_next()
 * reports that, because the broker may have sent a reason.
 *
 * Return: 0 or REFUSED.
 */
int client_request(
	struct client *client, struct writer *request, const int *fds, size_t n_fds, struct refusal *refusal);

/*
 * client_next() - read the next packet of the answer
 *
 * client->message and client->reply are that packet until the next call, also when the broker refused
 * (REFUSED with client->socket >= 0).
 *
 * Refused: whatever the broker refuses, with its errno and reason; ECONNRESET when it closes the connection
 * without an answer; EPROTO when the answer does not follow docs/protocol.md; EMFILE when this process has no
 * room for the descriptors of a row; ETIMEDOUT.
 *
 * Return: CLIENT_ROW; 0 for the end of an answer to a request that succeeded; or REFUSED.
 */
int client_next(struct client *client, struct refusal *refusal);

/*
 * client_wait_end() - wait until the broker closes the connection; what it still sends is dropped
 *
 * Return: 0 or REFUSED (ETIMEDOUT).
 */
int client_wait_end(struct client *client, struct refusal *refusal);

/* client_close() - disconnect, and close descriptors that were not taken; the client can be opened again */
void client_close(struct client *client);
