/* SPDX-License-Identifier: BSD-3-Clause */
#include "reap.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#include "../observe/observe.h"
#include "../util/device.h"
#include "../util/errno_name.h"
#include "../util/transport.h"
#include "early.h"
#include "lookout.h"
#include "orphans.h"
#include "place.h"

static void report_takeover(struct broker *broker, uint32_t number, const struct usher_place *gone,
	const struct usher_place *next)
{
	const struct usher_seat *seat = &broker->registry.seats[number];
	struct observed about = place_observed(broker, seat, next);
	char old[ENDPOINT_TEXT_MAX], new[ENDPOINT_TEXT_MAX];

	about.pid = (pid_t)next->pid;
	observe(OBSERVE_TAKEN_OVER, &about,
		"'%s' (%s): the socket at %s has closed, the older one at %s serves", seat->name,
		transport_name(seat->protocol, seat->family), place_address(gone, old),
		place_address(next, new));
}

static void report_gone(struct broker *broker, uint32_t number, const struct usher_place *gone)
{
	const struct usher_seat *seat = &broker->registry.seats[number];
	const struct observed about = place_observed(broker, seat, gone);
	char address[ENDPOINT_TEXT_MAX];

	observe(OBSERVE_GONE, &about, "'%s' (%s): the socket at %s has closed and there is no other one",
		seat->name, transport_name(seat->protocol, seat->family), place_address(gone, address));
}

unsigned reap_seat(struct broker *broker, uint32_t number)
{
	struct registry_reaped reaped;
	struct registry_place next;
	unsigned left = registry_reap(&broker->registry, number, &reaped);

	if (!reaped.first_gone)
		return left;
	if (registry_read_first(&broker->registry, number, &next))
		report_takeover(broker, number, &reaped.first.data, &next.data);
	else
		report_gone(broker, number, &reaped.first.data);
	return left;
}

static int on_reap(sd_event_source *source, void *userdata)
{
	struct broker *broker = userdata;

	(void)source;
	registry_foreach_seat (&broker->registry, seat)
		(void)reap_seat(broker, seat);
	orphans_drop_idle(broker);
	return 0;
}

void reap_soon(struct broker *broker)
{
	(void)sd_event_source_set_enabled(broker->reap_source, SD_EVENT_ONESHOT);
}

void reap_on_exit(pid_t pid, void *userdata)
{
	struct broker *broker = userdata;

	holder_orphan(broker->holder, pid);
	reap_soon(broker);
}

/* What the sockets of the seat are bound to is not repeated here: `usherctl list` shows it. */
static void report_device(const struct usher_event *event, const struct observed *about)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	observe(OBSERVE_MISSING, about,
		"%s from %s to %s was %s: it came by %s, and the sockets of '%s' are bound to other devices (ENODEV)",
		event->protocol == IPPROTO_UDP ? "a datagram" : "a connection",
		endpoint_format(event->family, event->remote_address, event->remote_port, remote),
		endpoint_format(event->family, event->local_address, event->local_port, local),
		event->passed ? "passed on" : "refused", about->device, about->name);
}

static void report_event(
	struct broker *broker, const struct usher_event *event, const struct usher_seat *seat)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], device[DEVICE_TEXT_MAX];
	struct observed about = {
		.name = seat->name,
		.rule = place_rule(broker, seat->name),
		.protocol = seat->protocol,
		.family = seat->family,
		.address = event->local_address,
		.address_family = event->family,
		.port = event->local_port,
		.client = event->remote_address,
		.client_port = event->remote_port,
		.error = -event->error,
		.reason = event->error ? errno_name(-event->error) : "no socket is handed in",
	};

	if (event->reason == USHER_EVENT_DEVICE) {
		about.device = device_format(event->device, device);
		report_device(event, &about);
	} else if (event->error == -EEXIST)
		observe(OBSERVE_CONFLICT, &about,
			"another sk_lookup program chose a socket for %s before '%s' could (EEXIST); 'bpftool link' shows which ones run",
			endpoint_format(event->family, event->local_address, event->local_port, local),
			seat->name);
	else
		observe(OBSERVE_MISSING, &about, "%s from %s to %s was %s: %s '%s' (%s)",
			event->protocol == IPPROTO_UDP ? "a datagram" : "a connection",
			endpoint_format(event->family, event->remote_address, event->remote_port, remote),
			endpoint_format(event->family, event->local_address, event->local_port, local),
			event->passed ? "passed on" : "refused",
			event->error ? "the kernel assigned no socket of" : "no socket is handed in as",
			seat->name,
			event->error ? errno_name(-event->error)
				     : transport_name(seat->protocol, seat->family));
}

static void on_event(const struct usher_event *event, void *userdata)
{
	struct broker *broker = userdata;
	const struct usher_seat *seat = &broker->registry.seats[event->seat];

	if (event->reason == USHER_EVENT_LISTENED) {
		early_note(broker, event);
		return;
	}
	if (event->reason == USHER_EVENT_YIELDED || event->reason == USHER_EVENT_OBSTACLE) {
		lookout_note(broker, event);
		return;
	}
	if (!seat->used)
		return;
	(void)reap_seat(broker, event->seat);
	report_event(broker, event, seat);
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct broker *broker = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	events_read(broker->events);
	early_follow(broker);
	lookout_follow(broker);
	return 0;
}

int reap_start(struct broker *broker)
{
	int r;

	r = sd_event_add_defer(broker->event, &broker->reap_source, on_reap, broker);
	if (r < 0)
		return r;
	r = events_new(&broker->registry, on_event, broker, &broker->events);
	if (r < 0)
		return r;
	r = sd_event_add_io(
		broker->event, &broker->events_source, events_fd(broker->events), EPOLLIN, on_events, broker);
	/* so that events from before a request are reported before its outcome */
	if (r >= 0)
		r = sd_event_source_set_priority(broker->events_source, SD_EVENT_PRIORITY_IMPORTANT);
	return r < 0 ? r : 0;
}

void reap_watch_registrants(struct broker *broker)
{
	registry_foreach_seat (&broker->registry, seat)
		registry_foreach_socket (&broker->registry, seat, walk) {
			struct registry_place place;

			registry_walk_read(&broker->registry, &walk, &place);
			(void)registrants_watch_pid(
				broker->registrants, (pid_t)place.data.pid, place.data.uid);
		}
}
