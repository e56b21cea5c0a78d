/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify_door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../util/errno_name.h"
#include "local_socket.h"

/* Datagrams handled before other event sources get their turn */
#define BATCH 64

/* As PID 1 sets it for its own; CAP_NET_ADMIN lets usherd exceed the limit. */
#define RECEIVE_BUFFER (8 * 1024 * 1024)

/* A datagram that came with descriptors, from when they are fetched until it has been dealt with */
struct delivery {
	struct intake_request request; /* first: notify_door_done() finds the delivery by it */
	struct notify_door *door;
	struct delivery *next;
	struct packet packet;
	struct notify notify;
	struct parcel *parcel; /* being fetched */
};

struct notify_door {
	int socket;
	struct local_socket_path path;
	sd_event_source *io;
	const struct staff *staff; /* borrowed */
	struct notify_handlers handlers;
	struct delivery *deliveries;
	bool receiving; /* a worker is, or throws a datagram away */
	bool waiting;	/* for the deliveries: what comes next must not overtake them */
};

static void listen_again(struct notify_door *door)
{
	if (!door->receiving && !door->waiting)
		(void)sd_event_source_set_enabled(door->io, SD_EVENT_ON);
}

static void stop_listening(struct notify_door *door)
{
	(void)sd_event_source_set_enabled(door->io, SD_EVENT_OFF);
}

static void delivery_free(struct delivery *delivery)
{
	struct delivery **at = &delivery->door->deliveries;

	while (*at != delivery)
		at = &(*at)->next;
	*at = delivery->next;
	intake_request_deinit(&delivery->request);
	packet_deinit(&delivery->packet);
	free(delivery);
}

void notify_door_done(struct intake_request *request)
{
	struct delivery *delivery = (struct delivery *)request;
	struct notify_door *door = delivery->door;

	delivery_free(delivery);
	if (!door->deliveries)
		door->waiting = false;
	listen_again(door);
}

static void on_received(void *userdata)
{
	struct delivery *delivery = userdata;

	delivery->door->receiving = false;
	listen_again(delivery->door);
}

static void on_parcel(struct parcel *parcel, void *userdata)
{
	struct delivery *delivery = userdata;
	struct notify_door *door = delivery->door;

	delivery->parcel = NULL;
	if (parcel->lost)
		on_received(delivery);
	intake_request_open(&delivery->request, parcel);
	if (parcel->result < 0)
		(void)refuse(&parcel->refusal, -parcel->result, "the datagram could not be received (%s)",
			errno_name(-parcel->result));
	if (parcel->result) {
		door->handlers.refused(
			&delivery->request.identity, &parcel->refusal, door->handlers.userdata);
		notify_door_done(&delivery->request);
	} else if (door->handlers.request(&delivery->request, &delivery->notify, door->handlers.userdata)) {
		notify_door_done(&delivery->request);
	}
}

/* Takes the request over when it returns 0. */
static int fetch(struct notify_door *door, struct packet *packet, const struct intake_request *request,
	const struct notify *notify, struct refusal *refusal)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	int r;

	if (!delivery)
		return -ENOMEM;
	*delivery =
		(struct delivery){.request = *request, .door = door, .packet = *packet, .notify = *notify};
	r = parcel_fetch(door->staff->crew, packet->credentials.uid, door->socket, false,
		door->staff->netns_cookie, on_received, on_parcel, delivery, &delivery->parcel, refusal);
	if (r) {
		free(delivery);
		return r;
	}
	delivery->next = door->deliveries;
	door->deliveries = delivery;
	door->receiving = true;
	stop_listening(door);
	return 0;
}

static void on_skipped(bool skipped, void *userdata)
{
	struct notify_door *door = userdata;

	(void)skipped;
	door->receiving = false;
	listen_again(door);
}

static void skip(struct notify_door *door)
{
	/* without memory it is looked at again */
	if (!sweeper_skip(door->staff->sweeper, door->socket, on_skipped, door))
		return;
	door->receiving = true;
	stop_listening(door);
}

enum { REFUSED_AND_REPORTED = REFUSED + 1 };

/* A datagram that is still in the queue, because there are descriptors with it. */
static void handle_with_fds(struct notify_door *door, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct notify notify;
	int r;

	intake_request_init(&request, packet);
	r = notify_parse(&notify, packet->text, packet->size, 1, &refusal);
	if (r) {
		door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
	} else if (notify.action == NOTIFY_STORE) {
		r = door->handlers.admit(&request, &notify, door->handlers.userdata)
			    ? fetch(door, packet, &request, &notify, &refusal)
			    : REFUSED_AND_REPORTED;
		if (!r)
			return;
		if (r < 0)
			(void)refuse(&refusal, -r, "internal error of the broker (%s)", errno_name(-r));
		if (r != REFUSED_AND_REPORTED)
			door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
	} else if (door->deliveries) {
		door->waiting = true;
		stop_listening(door);
		intake_request_deinit(&request);
		return;
	} else if (notify.action == NOTIFY_REMOVE) {
		(void)door->handlers.request(&request, &notify, door->handlers.userdata);
	}
	intake_request_deinit(&request);
	skip(door);
}

static void handle_datagram(struct notify_door *door, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct notify notify;

	intake_request_init(&request, packet);
	if (notify_parse(&notify, packet->text, packet->size, 0, &refusal))
		door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
	else if (notify.action == NOTIFY_STORE || notify.action == NOTIFY_REMOVE)
		(void)door->handlers.request(&request, &notify, door->handlers.userdata);
	intake_request_deinit(&request);
}

/* Return: whether there may be more, and it may be received. */
static bool receive_datagram(struct notify_door *door)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct refusal refusal;
	bool has_fds = false;
	int r;

	r = packet_peek(door->socket, &packet, &has_fds, &refusal);
	if (r < 0 || r == PACKET_AGAIN)
		return false;
	if (r != PACKET_END && has_fds) {
		if (r == PACKET_REFUSED) {
			door->handlers.refused(NULL, &refusal, door->handlers.userdata);
			skip(door);
		} else if (!packet.has_credentials) {
			skip(door);
		} else {
			handle_with_fds(door, &packet);
		}
		return !door->receiving && !door->waiting;
	}
	if (door->deliveries) {
		door->waiting = true;
		stop_listening(door);
		return false;
	}
	packet_deinit(&packet);
	r = packet_receive_with_pidfd(door->socket, &packet, &refusal);
	/* PACKET_END: an empty datagram, there is no end of these */
	if (r == PACKET_REFUSED)
		door->handlers.refused(NULL, &refusal, door->handlers.userdata);
	else if (r == 0 && packet.has_credentials)
		handle_datagram(door, &packet);
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

int notify_door_new(sd_event *event, const struct staff *staff, int passed_consume, const char *path,
	const struct notify_handlers *handlers, struct notify_door **ret)
{
	_cleanup_(notify_door_freep) struct notify_door *door = calloc(1, sizeof(*door));
	int size = RECEIVE_BUFFER, r;

	if (!door) {
		closep(&passed_consume);
		return -ENOMEM;
	}
	door->staff = staff;
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
	while (door->deliveries) {
		struct delivery *delivery = door->deliveries;

		if (!delivery->parcel)
			door->handlers.cancel(&delivery->request, door->handlers.userdata);
		parcel_release(delivery->parcel, NULL, NULL);
		delivery_free(delivery);
	}
	sweeper_close_consume(door->staff->sweeper, door->socket, false);
	local_socket_remove(&door->path);
	free(door);
	return NULL;
}
