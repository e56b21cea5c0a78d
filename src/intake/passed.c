/* SPDX-License-Identifier: BSD-3-Clause */
#include "passed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "../util/macro.h"

/* The path as text; "" for one without, or in the abstract namespace */
static void read_path(int fd, char *text, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof(address);

	*text = '\0';
	if (getsockname(fd, (struct sockaddr *)&address, &length) == 0 && address.sun_family == AF_UNIX &&
		length > offsetof(struct sockaddr_un, sun_path))
		(void)snprintf(text, size, "%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path)),
			address.sun_path);
}

static int refuse_door(
	const struct instance *instance, const struct passed_socket *socket, struct refusal *refusal)
{
	return refuse(refusal, EADDRNOTAVAIL,
		"the service manager passed a Unix socket at '%s' with the name '%s', which is not a door of this broker (EADDRNOTAVAIL); a door has FileDescriptorName=" PASSED_DOOR_NAME
		" and is ListenSequentialPacket=%s or ListenDatagram=%s: see 'systemctl cat usherd.socket', and Sockets= in 'systemctl cat usherd.service'",
		socket->path, socket->name, instance->socket, instance->notify);
}

/* Takes the socket over. */
static int sort_in(struct passed *passed, const struct instance *instance, struct passed_socket *socket,
	struct refusal *refusal)
{
	bool named = !strcmp(socket->name, PASSED_DOOR_NAME), here;
	int *door = NULL;

	socket->local = sd_is_socket(socket->fd, AF_UNIX, 0, -1) > 0;
	if (socket->local) {
		read_path(socket->fd, socket->path, sizeof(socket->path));
		here = !strcmp(socket->path, instance->socket) || !strcmp(socket->path, instance->notify);
		if (sd_is_socket_unix(socket->fd, SOCK_SEQPACKET, 1, instance->socket, 0) > 0)
			door = &passed->door;
		else if (sd_is_socket_unix(socket->fd, SOCK_DGRAM, 0, instance->notify, 0) > 0)
			door = &passed->notify;
		if ((named || here) && !(named && door && *door < 0))
			return refuse_door(instance, socket, refusal);
	}
	if (door) {
		*door = TAKE_FD(socket->fd);
		return 0;
	}
	passed->sockets[passed->n_sockets++] = *socket;
	socket->fd = -1;
	socket->name = NULL;
	return 0;
}

int passed_take(const struct instance *instance, struct passed *ret, struct refusal *refusal)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names), r = 0;

	if (n <= 0) {
		free(names);
		return n;
	}
	ret->sockets = calloc((size_t)n, sizeof(*ret->sockets));
	if (!ret->sockets)
		r = -ENOMEM;
	for (int i = 0; i < n; i++) {
		struct passed_socket socket = {.fd = SD_LISTEN_FDS_START + i, .name = names[i]};

		if (!r)
			r = sort_in(ret, instance, &socket, refusal);
		free(socket.name);
	}
	free(names);
	return r;
}

void passed_deinit(struct passed *passed)
{
	closep(&passed->door);
	closep(&passed->notify);
	for (size_t i = 0; i < passed->n_sockets; i++) {
		closep(&passed->sockets[i].fd);
		free(passed->sockets[i].name);
	}
	free(passed->sockets);
	*passed = PASSED_NULL;
}
