/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A UDP echo server that hands its socket in to usher, and answers from the address that the client sent to
 *
 *	cc -o udp_echo udp_echo.c $(pkg-config --cflags --libs libusher)
 *	./udp_echo [--flows] NAME ADDRESS PORT
 *
 * With --flows, each client gets a connected socket of its own, as a server of DTLS or QUIC would have it. Without it,
 * PORT has to be the port of the rule.
 */

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <usher.h>

#define CLIENTS_MAX 64

static int open_socket(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM},
			*found;
	const int yes = 1;
	int fd;

	if (getaddrinfo(address, port, &hints, &found) != 0)
		return -1;
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* the sockets of --flows may have the same port */
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
			       bind(fd, found->ai_addr, found->ai_addrlen) < 0))
		fd = -1;
	freeaddrinfo(found);
	return fd;
}

/* An answer to one client; with flows, from a socket that receives what the client sends from now on. Returns it, or -1. */
static int answer(int fd, int flows, const char *data, size_t size, const struct usher_udp_path *path)
{
	int flow;

	if (!flows) {
		if (usher_udp_send(fd, data, size, 0, path) < 0)
			fprintf(stderr, "udp_echo: no answer: %s\n", usher_reason());
		return -1;
	}
	flow = usher_udp_flow(path, 0);
	if (flow < 0)
		fprintf(stderr, "udp_echo: no flow: %s\n", usher_reason());
	else
		(void)send(flow, data, size, 0);
	return flow;
}

int main(int argc, char *argv[])
{
	const int flows = argc > 1 && !strcmp(argv[1], "--flows");
	struct pollfd sockets[1 + CLIENTS_MAX];
	struct usher_udp_path path;
	char data[65536];
	nfds_t n = 1;
	int fd, r;

	if (argc != 4 + flows) {
		fprintf(stderr, "usage: udp_echo [--flows] NAME ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	argv += flows;
	fd = open_socket(argv[2], argv[3]);
	if (fd < 0) {
		perror("udp_echo: cannot open the socket");
		return EXIT_FAILURE;
	}
	if (usher_udp_prepare(fd) < 0) {
		fprintf(stderr, "udp_echo: %s\n", usher_reason());
		return EXIT_FAILURE;
	}
	r = usher_hand_in(argv[1], &fd, 1, 0, 0);
	if (r < 0)
		fprintf(stderr, "udp_echo: cannot hand in '%s': %s\n", argv[1], usher_reason());
	sockets[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	for (;;) {
		ssize_t size;

		if (poll(sockets, n, -1) < 0)
			return EXIT_FAILURE;
		for (nfds_t i = 1; i < n; i++)
			if (sockets[i].revents && (size = recv(sockets[i].fd, data, sizeof(data), 0)) >= 0)
				(void)send(sockets[i].fd, data, (size_t)size, 0);
		if (!sockets[0].revents)
			continue;
		size = usher_udp_receive(fd, data, sizeof(data), 0, &path);
		if (size < 0)
			continue;
		/* a server would close the flows that are idle */
		r = answer(fd, flows && n <= CLIENTS_MAX, data, (size_t)size, &path);
		if (r >= 0)
			sockets[n++] = (struct pollfd){.fd = r, .events = POLLIN};
	}
}
