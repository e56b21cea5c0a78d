/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A TCP echo server that hands its socket in to usher
 *
 *	cc client.c -o client $(pkg-config --cflags --libs libusher)
 *	./client NAME [ADDRESS [PORT]]
 *
 * It listens on a private address, by default 127.0.0.2 port 8080. The rule of NAME says which public addresses lead to
 * it. Without usher it serves only the private address.
 */

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <usher.h>

static int listen_on(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
			*found;
	int listener, error;

	error = getaddrinfo(address, port, &hints, &found);
	if (error) {
		fprintf(stderr, "%s port %s: %s\n", address, port, gai_strerror(error));
		return -1;
	}
	listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
		bind(listener, found->ai_addr, found->ai_addrlen) < 0 || listen(listener, SOMAXCONN) < 0) {
		fprintf(stderr, "cannot listen on %s port %s: %s\n", address, port, strerror(errno));
		listener = -1;
	}
	freeaddrinfo(found);
	return listener;
}

static void echo(int connection)
{
	char buffer[4096];
	ssize_t n;

	while ((n = recv(connection, buffer, sizeof(buffer), 0)) > 0)
		for (ssize_t sent = 0, m; sent < n; sent += m)
			if ((m = send(connection, buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL)) < 0)
				return;
}

int main(int argc, char *argv[])
{
	const char *name = argv[1], *address = argc > 2 ? argv[2] : "127.0.0.2",
		   *port = argc > 3 ? argv[3] : "8080";
	int listener, r;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: %s NAME [ADDRESS [PORT]]\n", argv[0]);
		return 2;
	}
	listener = listen_on(address, port);
	if (listener < 0)
		return 1;

	/* Listen first, then hand in: connections arrive from then on. */
	r = usher_hand_in(name, &listener, 1, 0, 0);
	if (r < 0)
		fprintf(stderr, "cannot hand in '%s': %s\n", name, usher_reason());
	else if (r == 0)
		fprintf(stderr, "no usher here, serving %s port %s only\n", address, port);
	else
		fprintf(stderr, "handed in as '%s'\n", name);

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		/* accept(2) gives the client's own address, getsockname(2) the address that it connected to. */
		int connection = accept(listener, NULL, NULL);

		if (connection < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("accept");
			return 1;
		}
		if (fork() == 0) {
			/* The listener serves as long as any process has it open. */
			close(listener);
			echo(connection);
			_exit(0);
		}
		close(connection);
	}
}
