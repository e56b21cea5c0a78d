/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify_door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../util/errno_name.h"
#include "delivery.h"
#include "local_socket.h"

/* Datagrams handled before other event sources get their turn */
#define BATCH 64

/* As PID 1 sets it for its own; CAP_NET_ADMIN lets usherd exceed the limit. */
#define RECEIVE_BUFFER (8 * 1024 * 1024)

/* How long a uid may have all its workers at work until what it sends is thrown away, so that others do not wait for it */
#define PATIENCE_USEC 20000
#define ACCURACY_USEC 1000

/* Datagrams of one uid that wait for another one of it */
#define WAITING_MAX 64

struct notify_door {
	int socket;
	struct local_socket_path path;
	sd_event_source *io, *patience;
	const struct staff *staff; /* borrowed */
	struct notify_handlers handlers;
	struct delivery *deliveries; /* in their order */
	struct delivery *leaving;    /* it is still in the queue, and a worker is to receive it */
	bool skipping;		     /* the sweeper throws one away */
};

static bool is_busy(const struct notify_door *door)
{
	return door->leaving || door->skipping;
}

static void listen_again(struct notify_door *door)
{
	(void)sd_event_source_set_enabled(door->patience, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(door->io, SD_EVENT_ON);
}

static void stop_listening(struct notify_door *door)
{
	(void)sd_event_source_set_enabled(door->io, SD_EVENT_OFF);
}

/* ---- one after another of each uid */

/* As delivery_add() */
static struct delivery *add(struct notify_door *door, struct packet *packet,
	const struct intake_request *request, const struct notify *notify)
{
	struct delivery *delivery = delivery_add(&door->deliveries, packet, request, notify);

	if (delivery)
		delivery->door = door;
	return delivery;
}

/* Return: whether it is done. */
static bool begin(struct delivery *delivery)
{
	const struct notify_handlers *handlers = &delivery->door->handlers;

	delivery->begun = true;
	if (delivery->notify.action == NOTIFY_STORE || delivery->notify.action == NOTIFY_REMOVE)
		return handlers->request(&delivery->request, &delivery->notify, handlers->userdata);
	return true;
}

static void serve(struct notify_door *door, uid_t uid)
{
	struct delivery *delivery;

	while ((delivery = delivery_find_first(door->deliveries, uid)) && !delivery->parcel &&
		!delivery->begun) {
		if (!begin(delivery))
			return;
		delivery_free(delivery);
	}
}

void notify_door_done(struct intake_request *request)
{
	struct delivery *delivery = delivery_of(request);
	struct notify_door *door = delivery->door;
	const uid_t uid = delivery_uid(delivery);

	delivery_free(delivery);
	serve(door, uid);
}

/* ---- descriptors */

static void on_received(void *userdata)
{
	struct delivery *delivery = userdata;

	if (delivery->door->leaving != delivery)
		return;
	delivery->door->leaving = NULL;
	listen_again(delivery->door);
}

static void on_parcel(struct parcel *parcel, void *userdata)
{
	struct delivery *delivery = userdata;
	struct notify_door *door = delivery->door;
	const uid_t uid = delivery_uid(delivery);

	delivery->parcel = NULL;
	on_received(delivery); /* by now, whatever came of it */
	intake_request_open(&delivery->request, parcel);
	if (parcel->result < 0)
		(void)refuse(&parcel->refusal, -parcel->result, "the datagram could not be received (%s)",
			errno_name(-parcel->result));
	if (parcel->result) {
		door->handlers.refused(
			&delivery->request.identity, &parcel->refusal, door->handlers.userdata);
		delivery_free(delivery);
	}
	serve(door, uid);
}

/* Root has done what it did to itself. */
static bool is_too_busy(const struct notify_door *door, uid_t uid)
{
	return uid && crew_busy_usec(door->staff->crew, uid) >= PATIENCE_USEC;
}

static void start_patience(struct notify_door *door)
{
	(void)sd_event_source_set_time_relative(door->patience, PATIENCE_USEC);
	(void)sd_event_source_set_enabled(door->patience, SD_EVENT_ONESHOT);
}

/* Takes packet and request over when it returns 0. */
static int fetch(struct notify_door *door, struct packet *packet, const struct intake_request *request,
	const struct notify *notify, struct refusal *refusal)
{
	struct delivery *delivery;
	int r;

	if (delivery_count(door->deliveries, request->identity.uid) >= WAITING_MAX ||
		is_too_busy(door, request->identity.uid))
		return crew_refuse_stuck(request->identity.uid, refusal);
	delivery = add(door, packet, request, notify);
	if (!delivery)
		return -ENOMEM;
	door->leaving = delivery;
	r = parcel_fetch(door->staff->crew, request->identity.uid, door->socket, false,
		door->staff->netns_cookie, on_received, on_parcel, delivery, &delivery->parcel, refusal);
	if (r) {
		door->leaving = NULL;
		delivery_give_back(delivery, packet);
		return r;
	}
	stop_listening(door);
	start_patience(door);
	return 0;
}

static void on_skipped(bool skipped, void *userdata)
{
	struct notify_door *door = userdata;

	(void)skipped;
	door->skipping = false;
	listen_again(door);
}

static void skip(struct notify_door *door)
{
	/* without memory it is looked at again */
	door->skipping = sweeper_skip(door->staff->sweeper, door->socket, on_skipped, door);
	if (door->skipping)
		stop_listening(door);
	else
		listen_again(door);
}

/* All that is after it in the queue waits for the workers of one uid, which wait for its descriptors. */
static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct notify_door *door = userdata;
	struct delivery *delivery = door->leaving;
	struct refusal refusal;

	(void)source;
	(void)usec;
	if (!delivery)
		return 0;
	if (!parcel_is_waiting(delivery->parcel) || !is_too_busy(door, delivery_uid(delivery))) {
		start_patience(door);
		return 0;
	}
	(void)crew_refuse_stuck(delivery_uid(delivery), &refusal);
	door->handlers.refused(&delivery->request.identity, &refusal, door->handlers.userdata);
	parcel_release(TAKE_PTR(delivery->parcel), NULL, NULL);
	door->leaving = NULL;
	delivery_free(delivery);
	skip(door);
	return 0;
}

enum { DELIVERED = REFUSED + 1 };

/* Return: 0 when the datagram is to be thrown away, DELIVERED, REFUSED, or a negative errno. */
static int handle_descriptors(struct notify_door *door, struct packet *packet, struct intake_request *request,
	const struct notify *notify, struct refusal *refusal)
{
	const bool alone = !delivery_find_first(door->deliveries, request->identity.uid);
	int r;

	if (notify->action == NOTIFY_NOTHING)
		return 0;
	if (notify->action == NOTIFY_STORE && !door->handlers.admit(request, notify, door->handlers.userdata))
		return 0;
	if (notify->action == NOTIFY_STORE || !alone) {
		r = fetch(door, packet, request, notify, refusal);
		return r ? r : DELIVERED;
	}
	if (notify->action == NOTIFY_REMOVE)
		(void)door->handlers.request(request, notify, door->handlers.userdata);
	return 0;
}

/* A datagram that is still in the queue, because there are descriptors with it. */
static void handle_with_fds(struct notify_door *door, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct notify notify;
	int r;

	intake_request_init(&request, packet);
	r = notify_parse(&notify, packet->text, packet->size, 1, &refusal);
	if (!r)
		r = handle_descriptors(door, packet, &request, &notify, &refusal);
	if (r == DELIVERED)
		return;
	if (r < 0)
		r = refuse(&refusal, -r, "internal error of the broker (%s)", errno_name(-r));
	if (r)
		door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
	intake_request_deinit(&request);
	skip(door);
}

/* Takes packet and request over when it returns 0: an earlier one of the same uid is not dealt with yet. */
static int put_off(struct notify_door *door, struct packet *packet, const struct intake_request *request,
	const struct notify *notify, struct refusal *refusal)
{
	if (delivery_count(door->deliveries, request->identity.uid) >= WAITING_MAX)
		return crew_refuse_stuck(request->identity.uid, refusal);
	return add(door, packet, request, notify)
		       ? 0
		       : refuse(refusal, ENOMEM, "internal error of the broker (ENOMEM)");
}

static void handle_datagram(struct notify_door *door, struct packet *packet)
{
	struct intake_request request;
	struct refusal refusal;
	struct notify notify;
	int r;

	intake_request_init(&request, packet);
	r = notify_parse(&notify, packet->text, packet->size, 0, &refusal);
	if (!r && (notify.action == NOTIFY_STORE || notify.action == NOTIFY_REMOVE)) {
		if (!delivery_find_first(door->deliveries, request.identity.uid)) {
			(void)door->handlers.request(&request, &notify, door->handlers.userdata);
		} else {
			r = put_off(door, packet, &request, &notify, &refusal);
			if (!r)
				return;
		}
	}
	if (r)
		door->handlers.refused(&request.identity, &refusal, door->handlers.userdata);
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
		return !is_busy(door);
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
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &door->patience, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_patience, door);
	if (r >= 0)
		r = sd_event_source_set_enabled(door->patience, SD_EVENT_OFF);
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
	sd_event_source_disable_unref(door->patience);
	while (door->deliveries) {
		struct delivery *delivery = door->deliveries;

		if (delivery->begun)
			door->handlers.cancel(&delivery->request, door->handlers.userdata);
		parcel_release(delivery->parcel, NULL, NULL);
		delivery_free(delivery);
	}
	sweeper_close_consume(door->staff->sweeper, door->socket, false);
	local_socket_remove(&door->path);
	free(door);
	return NULL;
}
