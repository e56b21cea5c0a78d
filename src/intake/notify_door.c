/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify_door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "closer.h"
#include "local_socket.h"

/* Datagrams handled before other event sources get their turn */
#define BATCH 64

/* As PID 1 sets it for its own; CAP_NET_ADMIN lets usherd exceed the limit. */
#define RECEIVE_BUFFER (8 * 1024 * 1024)

struct notify_door {
	int socket;
	struct local_socket_path path;
	sd_event_source *io;
	struct notify_handlers handlers;
};

static void handle_datagram(struct notify_door *door, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct notify notify;

	intake_request_init(&request, packet);
	if (notify_parse(&notify, packet->text, packet->size, packet->n_fds, &refusal))
		door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
	else if (notify.action == NOTIFY_STORE || notify.action == NOTIFY_REMOVE)
		door->handlers.request(&request, &notify, door->handlers.userdata);
	intake_request_deinit(&request);
}

/* Return: whether there may be more. */
static bool receive_datagram(struct notify_door *door)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int r;

	if (closer_skip(door->socket))
		return true;
	r = packet_receive(door->socket, &packet, &refusal);
	/* PACKET_END: an empty datagram; a datagram socket has no end */
	if (r == PACKET_REFUSED)
		door->handlers.refused(NULL, &refusal, door->handlers.userdata);
	else if (r == 0 && packet.has_credentials)
		handle_datagram(door, &packet);
	closer_close(&packet, packet.has_credentials ? packet.credentials.uid : 0);
	return r == 0 || r == PACKET_REFUSED || r == PACKET_END;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	for (int i = 0; i < BATCH && receive_datagram(userdata); i++)
		continue;
	return 0;
}

int notify_door_new(sd_event *event, int passed_consume, const char *path,
	const struct notify_handlers *handlers, struct notify_door **ret)
{
	_cleanup_(notify_door_freep) struct notify_door *door = calloc(1, sizeof(*door));
	int size = RECEIVE_BUFFER, r;

	if (!door) {
		closep(&passed_consume);
		return -ENOMEM;
	}
	door->handlers = *handlers;
	door->socket = local_socket_consume(passed_consume, SOCK_DGRAM, path, &door->path);
	if (door->socket < 0)
		return door->socket;
	if (setsockopt(door->socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(door->socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	r = sd_event_add_io(event, &door->io, door->socket, EPOLLIN, on_io, door);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(door);
	return 0;
}

struct notify_door *notify_door_free(struct notify_door *door)
{
	if (!door)
		return NULL;
	sd_event_source_disable_unref(door->io);
	closer_close_door_consume(door->socket);
	local_socket_remove(&door->path);
	free(door);
	return NULL;
}
