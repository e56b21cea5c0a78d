/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * held NAME ADDRESS PORT: a Type=notify service that talks to its service manager and to usher, with libsystemd
 *
 * It listens, has usher hold the socket under NAME, sends READY=1 to the manager, and answers as harness.traffic
 * expects.
 */

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int open_listener(const char *address, const char *port)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	inet_pton(AF_INET, address, &local.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0 || listen(fd, 64) < 0)
		err(1, "%s:%s", address, port);
	return fd;
}

static void tell_usher(const char *name, int fd)
{
	const char *manager = getenv("NOTIFY_SOCKET");
	char *kept = manager ? strdup(manager) : NULL;
	char state[128];
	int r;

	setenv("NOTIFY_SOCKET", "/run/usher/notify", 1);
	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	if (r > 0)
		r = sd_notify_barrier(0, 10000000);
	if (r <= 0)
		errx(1, "usher: %d", r);
	if (kept)
		setenv("NOTIFY_SOCKET", kept, 1);
	else
		unsetenv("NOTIFY_SOCKET");
	free(kept);
}

static void answer(int connection, const char *name)
{
	struct sockaddr_in peer, local;
	socklen_t size = sizeof(peer);
	char peer_text[INET_ADDRSTRLEN], local_text[INET_ADDRSTRLEN];

	getpeername(connection, (struct sockaddr *)&peer, &size);
	getsockname(connection, (struct sockaddr *)&local, &size);
	dprintf(connection, "%s %s %d %s %d\n", name,
		inet_ntop(AF_INET, &peer.sin_addr, peer_text, sizeof(peer_text)), ntohs(peer.sin_port),
		inet_ntop(AF_INET, &local.sin_addr, local_text, sizeof(local_text)), ntohs(local.sin_port));
	close(connection);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 4)
		errx(2, "usage: held NAME ADDRESS PORT");
	fd = open_listener(argv[2], argv[3]);
	tell_usher(argv[1], fd);
	sd_notify(0, "READY=1\nSTATUS=held by usher");
	for (;;) {
		int connection = accept(fd, NULL, NULL);

		if (connection >= 0)
			answer(connection, argv[1]);
	}
}
