/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "../wire/protocol.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)

static int client_refuse_timeout(const struct client *client, struct refusal *refusal)
{
	return refuse(refusal, ETIMEDOUT,
		"the broker at %s has not finished within %d ms (ETIMEDOUT); see whether usherd is stopped or overloaded",
		client->address.sun_path, client->timeout_ms);
}

/* Closes the connection: packets that still come would be taken for the answer to another request. */
static int client_fail(struct client *client, int r)
{
	client_close(client);
	return r;
}

static int client_set_address(struct client *client, const char *path, struct refusal *refusal)
{
	size_t length;

	if (!path)
		path = secure_getenv(PROTOCOL_SOCKET_VARIABLE);
	if (!path || !*path)
		path = PROTOCOL_SOCKET_PATH;
	length = strlen(path);
	if (length >= sizeof(client->address.sun_path))
		return refuse(refusal, ENAMETOOLONG,
			"the socket path '%.64s...' has %zu characters, a socket address takes at most %zu (ENAMETOOLONG)",
			path, length, sizeof(client->address.sun_path) - 1);
	client->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(client->address.sun_path, path, length);
	return 0;
}

/*
 * connect(2), until the deadline
 *
 * poll(2) cannot wait for room in the backlog of an AF_UNIX listener, so the socket blocks here, with a
 * timeout: the kernel wakes us as soon as the broker accepts. Returns 0 or a positive errno.
 */
static int client_connect(struct client *client)
{
	for (;;) {
		uint64_t t = clock_monotonic_nsec();
		uint64_t left_us = client->deadline > t ? (client->deadline - t) / NS_PER_US : 0;
		struct timeval timeout = {
			.tv_sec = (time_t)(left_us / US_PER_S),
			.tv_usec = (suseconds_t)(left_us % US_PER_S),
		};

		if (!left_us) /* 0 would mean to wait forever */
			return ETIMEDOUT;
		if (setsockopt(client->socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
			return errno;
		if (connect(client->socket, (const struct sockaddr *)&client->address,
			    sizeof(client->address)) == 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return errno;
	}
}

/* How a unit hides the socket of the broker from its processes */
enum client_view {
	CLIENT_VIEW_OPEN,
	CLIENT_VIEW_SEALED, /* InaccessiblePaths=: an empty folder without permissions is mounted over it */
	CLIENT_VIEW_OTHER,  /* another /run: where systemd runs, it has this folder (sd_booted(3)) */
};

static enum client_view client_look(const struct client *client, int length)
{
	char folder[sizeof(client->address.sun_path) + 1];
	struct stat st;

	if (!secure_getenv("INVOCATION_ID")) /* systemd sets it in every process that it starts */
		return CLIENT_VIEW_OPEN;
	(void)snprintf(folder, sizeof(folder), "%.*s", length, client->address.sun_path);
	if (stat(folder, &st) == 0 && !(st.st_mode & ~(mode_t)S_IFMT))
		return CLIENT_VIEW_SEALED;
	return access("/run/systemd/system", F_OK) < 0 ? CLIENT_VIEW_OTHER : CLIENT_VIEW_OPEN;
}

/* Return: 0 when nothing is hidden; otherwise as client_open() */
static int client_refuse_hidden(const struct client *client, int error, struct refusal *refusal)
{
	const char *path = client->address.sun_path, *slash = strrchr(path, '/');
	int length = slash ? (int)(slash - path) : 0;

	switch (client_look(client, length)) {
	case CLIENT_VIEW_SEALED:
		(void)refuse(refusal, error,
			"InaccessiblePaths= of the unit hides the broker's socket %s (%s); take %.*s out of it",
			path, errno_name(error), length, path);
		break;
	case CLIENT_VIEW_OTHER:
		(void)refuse(refusal, error,
			"the unit hides /run, and the broker's socket %s with it (%s): TemporaryFileSystem= or RootDirectory=, for example; add BindReadOnlyPaths=%.*s",
			path, errno_name(error), length, path);
		break;
	default:
		return 0;
	}
	return error == ENOENT ? CLIENT_ABSENT : REFUSED;
}

int client_open(struct client *client, const char *path, int timeout_ms, struct refusal *refusal)
{
	int error, r;

	client_close(client);
	if (timeout_ms < 0)
		return refuse(refusal, EINVAL, "a timeout of %d ms is negative (EINVAL)", timeout_ms);
	client->timeout_ms = timeout_ms ? timeout_ms : CLIENT_TIMEOUT_DEFAULT_MS;
	client_renew(client);
	r = client_set_address(client, path, refusal);
	if (r != 0)
		return r;

	client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (client->socket < 0) {
		error = errno;
		if (error == EAFNOSUPPORT)
			return refuse(refusal, error,
				"cannot create a Unix socket (EAFNOSUPPORT): RestrictAddressFamilies= of the unit leaves AF_UNIX out; add it there");
		return refuse(refusal, error, "cannot create a socket: %s (%s)", errno_text(error),
			errno_name(error));
	}
	error = client_connect(client);
	if (!error && fcntl(client->socket, F_SETFL, O_NONBLOCK) < 0)
		error = errno;
	if (!error)
		return 0;
	r = error == ENOENT || error == EACCES ? client_refuse_hidden(client, error, refusal) : 0;
	if (r)
		return client_fail(client, r);
	if (error == ENOENT || error == ECONNREFUSED) {
		(void)refuse(refusal, error, "no broker listens on %s (%s); start usherd, or set $%s",
			client->address.sun_path, errno_name(error), PROTOCOL_SOCKET_VARIABLE);
		return client_fail(client, CLIENT_ABSENT);
	}
	if (error == ETIMEDOUT)
		return client_fail(client, client_refuse_timeout(client, refusal));
	return client_fail(client, refuse(refusal, error, "cannot connect to the broker at %s: %s (%s)",
					   client->address.sun_path, errno_text(error), errno_name(error)));
}

void client_renew(struct client *client)
{
	client->deadline = clock_monotonic_nsec() + (uint64_t)client->timeout_ms * NS_PER_MS;
}

void client_begin(struct writer *ret, enum request_verb verb)
{
	/* Not WRITER_NULL: that would take another 4 KiB of the caller's stack. */
	ret->size = 0;
	ret->overflow = 0;
	writer_put(ret, KEY_REQUEST, "%s", verb_word(verb));
	writer_put(ret, KEY_VERSION, "%u", PROTOCOL_VERSION);
}

/* Waits until the socket is ready or has failed; the next call on it shows which. Returns 0 or REFUSED. */
static int client_wait(struct client *client, short events, struct refusal *refusal)
{
	struct pollfd poll_fd = {.fd = client->socket, .events = events};

	for (;;) {
		uint64_t t = clock_monotonic_nsec();
		uint64_t left_ns = client->deadline > t ? client->deadline - t : 0;
		struct timespec left = {
			.tv_sec = (time_t)(left_ns / (US_PER_S * NS_PER_US)),
			.tv_nsec = (long)(left_ns % (US_PER_S * NS_PER_US)),
		};
		int n = ppoll(&poll_fd, 1, &left, NULL);

		if (n > 0)
			return 0;
		if (n == 0)
			return client_fail(client, client_refuse_timeout(client, refusal));
		if (errno != EINTR && errno != EAGAIN) {
			int error = errno;

			return client_fail(client,
				refuse(refusal, error, "cannot wait for the broker at %s: %s (%s)",
					client->address.sun_path, errno_text(error), errno_name(error)));
		}
	}
}

static int client_check_open(const struct client *client, struct refusal *refusal)
{
	if (client->socket >= 0)
		return 0;
	return refuse(refusal, ENOTCONN, "there is no connection to the broker (ENOTCONN)");
}

/* The sender's own numbers of its descriptors, so that a refusal can name one of them */
static void put_numbers(struct writer *request, const int *fds, size_t n_fds)
{
	char numbers[PACKET_FDS_MAX * 12];
	size_t size = 0;

	for (size_t i = 0; i < n_fds && i < PACKET_FDS_MAX; i++)
		size += (size_t)snprintf(
			numbers + size, sizeof(numbers) - size, "%s%d", i ? ":" : "", fds[i]);
	writer_put(request, KEY_FDS, "%s", numbers);
}

int client_request(
	struct client *client, struct writer *request, const int *fds, size_t n_fds, struct refusal *refusal)
{
	int r;

	r = client_check_open(client, refusal);
	if (r != 0)
		return r;
	packet_deinit(&client->reply);
	client->message.n_fields = 0;
	if (n_fds)
		put_numbers(request, fds, n_fds);
	if (request->overflow)
		return refuse(refusal, E2BIG, "the request does not fit in a packet of %u bytes (E2BIG)",
			PACKET_TEXT_MAX);

	for (;;) {
		int error;

		r = packet_send(client->socket, request->text, request->size, fds, n_fds);
		/* The broker has closed already: its reason may be waiting in our queue. */
		if (r >= 0 || r == -EPIPE || r == -ECONNRESET)
			return 0;
		if (r == -EAGAIN) {
			r = client_wait(client, POLLOUT, refusal);
			if (r != 0)
				return r;
			continue;
		}
		error = -r;
		if (error == E2BIG)
			return refuse(refusal, error,
				"%zu descriptors do not fit in a packet, which takes at most %u (E2BIG)",
				n_fds, PACKET_FDS_MAX);
		if (error == EBADF)
			return refuse(refusal, error,
				"one of the %zu descriptors to send is not open (EBADF)", n_fds);
		return client_fail(
			client, refuse(refusal, error, "cannot send to the broker at %s: %s (%s)",
					client->address.sun_path, errno_text(error), errno_name(error)));
	}
}

static int client_refuse_answer(struct client *client, const char *why, struct refusal *refusal)
{
	return client_fail(client,
		refuse(refusal, EPROTO, "the answer from %s does not follow usher's protocol: %s (EPROTO)",
			client->address.sun_path, why));
}

/* Receive a packet into client->reply. Returns 0 or REFUSED. */
static int client_receive(struct client *client, struct refusal *refusal)
{
	bool reset = false;

	for (;;) {
		int r = packet_receive(client->socket, &client->reply, refusal);

		if (r == 0)
			return 0;
		if (r == PACKET_AGAIN) {
			r = client_wait(client, POLLIN, refusal);
			if (r != 0)
				return r;
			continue;
		}
		/* The broker closed without reading our request, as it does when it refuses the connection. The
		 * kernel reports that once, before it delivers what the broker sent. */
		if (r == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (r == PACKET_REFUSED && refusal->error == EMSGSIZE) {
			struct refusal size = *refusal;

			return client_refuse_answer(client, size.text, refusal);
		}
		if (r == PACKET_END || r == -ECONNRESET)
			r = refuse(refusal, ECONNRESET,
				"the broker at %s closed the connection without an answer (ECONNRESET); its log has the reason",
				client->address.sun_path);
		else if (r < 0)
			r = refuse(refusal, -r, "cannot receive from the broker at %s: %s (%s)",
				client->address.sun_path, errno_text(-r), errno_name(-r));
		return client_fail(client, r);
	}
}

int client_next(struct client *client, struct refusal *refusal)
{
	const char *row, *ok, *error, *reason;
	struct refusal syntax;
	unsigned long number;
	int r;

	r = client_check_open(client, refusal);
	if (r != 0)
		return r;
	packet_deinit(&client->reply);
	client->message.n_fields = 0;
	r = client_receive(client, refusal);
	if (r != 0)
		return r;
	r = message_parse(&client->message, client->reply.text, client->reply.size, &syntax);
	if (r != 0)
		return client_refuse_answer(client, syntax.text, refusal);

	row = message_get(&client->message, KEY_ROW);
	ok = message_get(&client->message, KEY_OK);
	error = message_get(&client->message, KEY_ERRNO);
	if (!!row + !!ok + !!error != 1)
		return client_refuse_answer(client, "a packet has exactly one of ROW, OK and ERRNO", refusal);
	/* A broker that always has another row ready never makes client_wait() check the deadline. */
	if (row && clock_monotonic_nsec() >= client->deadline)
		return client_fail(client, client_refuse_timeout(client, refusal));
	if (row)
		return CLIENT_ROW;
	if (ok)
		return 0;
	if (text_to_uint(error, ERRNO_MAX, &number) < 0 || number == 0)
		return client_refuse_answer(client, "ERRNO is not the number of an error", refusal);
	reason = message_get(&client->message, KEY_REASON);
	return refuse(refusal, (int)number, "%s", reason && *reason ? reason : errno_text((int)number));
}

int client_wait_end(struct client *client, struct refusal *refusal)
{
	int r;

	client_renew(client);
	do
		r = client_receive(client, refusal);
	while (r == 0);
	return refusal->error == ECONNRESET ? 0 : r;
}

void client_close(struct client *client)
{
	closep(&client->socket);
	client->socket = -1;
	packet_deinit(&client->reply);
	client->message.n_fields = 0;
}
