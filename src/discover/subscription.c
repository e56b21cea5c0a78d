/* SPDX-License-Identifier: BSD-3-Clause */
#include "subscription.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "../lib/client.h"
#include "../util/errno_name.h"

#define FIRST_PAUSE_MS 100U
#define ANSWER_MS 2000

struct subscription {
	struct client client;
	struct subscription_handlers handlers;
	const char *path;
	const enum observe_kind *events;
	size_t n_events;
	bool is_up;
	unsigned pause_ms;
	sd_event_source *io_source, *timer_source;
};

static int try_after(struct subscription *subscription, unsigned ms)
{
	int r = sd_event_source_set_time_relative(subscription->timer_source, ms * UINT64_C(1000));

	return r < 0 ? r : sd_event_source_set_enabled(subscription->timer_source, SD_EVENT_ONESHOT);
}

static void end_subscription(struct subscription *subscription, const struct refusal *why)
{
	subscription->io_source = sd_event_source_disable_unref(subscription->io_source);
	client_close(&subscription->client);
	if (subscription->is_up)
		subscription->pause_ms = 0;
	subscription->is_up = false;
	(void)try_after(subscription, subscription->pause_ms);
	subscription->pause_ms = subscription->pause_ms ? subscription->pause_ms * 2 : FIRST_PAUSE_MS;
	if (subscription->pause_ms > SUBSCRIPTION_PAUSE_MS)
		subscription->pause_ms = SUBSCRIPTION_PAUSE_MS;
	subscription->handlers.down(why, subscription->handlers.userdata);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct subscription *subscription = userdata;
	struct refusal why;
	int r;

	(void)source;
	(void)fd;
	(void)events;
	client_renew(&subscription->client);
	r = client_next(&subscription->client, &why);
	if (r == 0)
		r = refuse(&why, EPROTO, "the broker ended the stream of events (EPROTO)");
	if (r != CLIENT_ROW) {
		end_subscription(subscription, &why);
	} else if (!subscription->is_up) {
		subscription->is_up = true;
		subscription->pause_ms = 0;
		subscription->handlers.up(subscription->handlers.userdata);
	} else {
		subscription->handlers.event(&subscription->client.message, subscription->handlers.userdata);
	}
	return 0;
}

static void put_events(struct writer *request, const struct subscription *subscription)
{
	char text[OBSERVE_KINDS * 16] = "";
	size_t size = 0;

	for (size_t i = 0; i < subscription->n_events && size < sizeof(text); i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", i ? ":" : "",
			observe_word(subscription->events[i]));
	writer_put(request, KEY_EVENTS, "%s", text);
}

/*
 * The event loop gets a descriptor of its own. The client closes its socket when the connection fails, and a socket that
 * another process has open at that moment (one that scans, or one that looks at /proc/PID/fd) would stay in the epoll
 * set, with an event source that is gone.
 */
static int wait_for_events(sd_event *event, struct subscription *subscription)
{
	int r, fd = fcntl(subscription->client.socket, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	r = sd_event_add_io(event, &subscription->io_source, fd, EPOLLIN, on_readable, subscription);
	if (r < 0)
		closep(&fd);
	else
		r = sd_event_source_set_io_fd_own(subscription->io_source, true);
	return r;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct subscription *subscription = userdata;
	struct client *client = &subscription->client;
	struct writer request;
	struct refusal why;
	int r;

	(void)usec;
	r = client_open(client, subscription->path, ANSWER_MS, &why);
	client_begin(&request, REQUEST_MONITOR);
	put_events(&request, subscription);
	if (!r)
		r = client_request(client, &request, NULL, 0, &why);
	if (!r) {
		r = wait_for_events(sd_event_source_get_event(source), subscription);
		if (r >= 0)
			return 0;
		r = refuse(&why, -r, "cannot wait for events (%s)", errno_name(-r));
	}
	end_subscription(subscription, &why);
	return 0;
}

int subscription_new(sd_event *event, const char *path, const enum observe_kind *events, size_t n_events,
	const struct subscription_handlers *handlers, struct subscription **ret)
{
	_cleanup_(subscription_freep) struct subscription *subscription = calloc(1, sizeof(*subscription));
	int r;

	if (!subscription)
		return -ENOMEM;
	subscription->client = CLIENT_NULL;
	subscription->handlers = *handlers;
	subscription->path = path;
	subscription->events = events;
	subscription->n_events = n_events;
	subscription->pause_ms = FIRST_PAUSE_MS;
	r = sd_event_add_time_relative(
		event, &subscription->timer_source, CLOCK_MONOTONIC, 0, 1, on_time, subscription);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(subscription);
	return 0;
}

struct subscription *subscription_free(struct subscription *subscription)
{
	if (!subscription)
		return NULL;
	sd_event_source_disable_unref(subscription->io_source);
	sd_event_source_disable_unref(subscription->timer_source);
	client_close(&subscription->client);
	free(subscription);
	return NULL;
}
