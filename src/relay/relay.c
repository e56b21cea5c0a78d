/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "../observe/observe.h"
#include "../rule/match.h"
#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/netns.h"

#define PAUSE_MS 100U	       /* without a descriptor for another client */
#define FULL_REPORT_MS 60000U  /* between two messages that the limit is reached */
#define DESCRIPTORS_BESIDE 64U /* of a relay without connections and pipes, generously */

/* ---- accepting */

static bool may_accept(const struct relay *relay)
{
	return !relay->draining && !relay->pause.place && relay->home.tally->open < relay->max_connections;
}

/* Clients for whom there is no room wait in the queue of the listening socket. */
static void watch_listeners(struct relay *relay)
{
	bool wanted = may_accept(relay);

	for (size_t i = 0; i < relay->n_listeners; i++) {
		struct listener *listener = &relay->listeners[i];

		if (listener->fd < 0 || listener->watched == wanted)
			continue;
		if (!wanted)
			loop_remove(relay->loop, listener->fd);
		else if (loop_add(relay->loop, listener->fd, EPOLLIN, &listener->source) < 0)
			continue;
		listener->watched = wanted;
	}
}

static void report_full(struct relay *relay)
{
	uint64_t now = relay->loop->now_ms;

	if (relay->home.tally->open < relay->max_connections)
		return;
	relay->home.tally->full++;
	if (relay->full_reported_ms && now - relay->full_reported_ms < FULL_REPORT_MS)
		return;
	relay->full_reported_ms = now;
	observe(OBSERVE_FULL, &(struct observed){.name = relay->home.name},
		"%u connections are open, and more clients wait until one of them ends; raise MaxConnections= under [Relay], or set IdleTimeout=",
		relay->max_connections);
}

static void pause_accepting(struct relay *relay)
{
	relay->home.tally->no_descriptors++;
	loop_set(relay->loop, &relay->pause, relay->loop->now_ms + PAUSE_MS);
	watch_listeners(relay);
}

static void close_listener(struct listener *listener, int error)
{
	observe(OBSERVE_FAILED, &(struct observed){.name = listener->relay->home.name, .error = error},
		"a listening socket of '%s' accepts no more clients: %s (%s); restart the socket unit",
		listener->relay->home.name, errno_text(error), errno_name(error));
	(void)close(listener->fd);
	listener->fd = -1;
	listener->watched = false;
}

static void begin_connection(struct relay *relay, int fd, const struct sockaddr_storage *peer)
{
	struct tally *tally = relay->home.tally;

	tally->accepted++;
	if (!relay->settings) {
		tally->unreachable++;
		connection_refuse_consume(fd);
	} else if (loop_reserve(relay->loop, tally->open + 8) < 0) {
		tally->out_of_memory++;
		connection_refuse_consume(fd);
	} else if (connection_begin_consume(&relay->home, relay->settings, fd, peer) < 0) {
		tally->out_of_memory++;
	} else if (tally->open >= relay->max_connections) {
		report_full(relay);
		watch_listeners(relay);
	}
}

/*
 * One client each time that the socket is ready. To look for a second one could block: the socket is the service
 * manager's, which clears O_NONBLOCK whenever it passes the socket to another unit, such as usher@.service.
 */
static void accept_client(struct loop_source *source, uint32_t events)
{
	struct listener *listener = (struct listener *)source;
	struct relay *relay = listener->relay;
	struct sockaddr_storage peer = {0};
	socklen_t size = sizeof(peer);
	int fd;

	(void)events;
	if (!listener->watched) /* this was fetched before accepting was paused */
		return;
	fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		begin_connection(relay, fd, &peer);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_accepting(relay);
	else if (errno == EINVAL || errno == EBADF || errno == ENOTSOCK || errno == EOPNOTSUPP)
		close_listener(listener, errno);
}

static void end_pause(struct loop_timer *timer)
{
	watch_listeners((struct relay *)((char *)timer - offsetof(struct relay, pause)));
}

static void connection_left(struct connection_home *home)
{
	struct relay *relay = (struct relay *)home;

	if (!relay->draining)
		watch_listeners(relay);
	else if (!home->tally->open)
		loop_end(relay->loop);
}

/* ---- settings */

/* A connection takes two descriptors. What the table has no room for would wait without a word. */
static unsigned find_room(unsigned wanted)
{
	struct rlimit limit;
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted;
	room = limit.rlim_cur > DESCRIPTORS_BESIDE + 2 * PIPES_MAX + 2
		       ? (limit.rlim_cur - DESCRIPTORS_BESIDE - 2 * PIPES_MAX) / 2
		       : 1;
	return wanted < room ? wanted : (unsigned)room;
}

static void describe_settings(struct relay *relay)
{
	const struct rule_relay *rule = &relay->settings->rule.relay;
	struct tally *tally = relay->home.tally;

	relay->max_connections = find_room(rule->max_connections);
	if (relay->max_connections < rule->max_connections)
		observe(OBSERVE_FAULT,
			&(struct observed){.name = relay->home.name, .rule = relay->settings->rule.path},
			"%s:%u: MaxConnections=%u needs more descriptors than the process may have, so that it is %u; raise LimitNOFILE= of the unit",
			relay->settings->rule.path, rule->max_connections_line, rule->max_connections,
			relay->max_connections);
	tally->limit = relay->max_connections;
	relay->sessions.limit = relay->max_connections;
	tally->loaded_usec = clock_realtime_usec();
	memset(tally->backends, 0, sizeof(tally->backends));
	tally->n_backends = (uint32_t)rule->n_backends;
	for (size_t i = 0; i < rule->n_backends; i++)
		(void)snprintf(tally->backends[i].text, TALLY_TEXT_MAX, "%s", rule->backends[i].text);
}

/*
 * Return: a backend to which the rule would lead back, where the relay is in the network namespace of its listening
 * sockets; each client would make connections until the limit is reached.
 */
static const struct rule_backend *find_circle(const struct relay *relay, const struct settings *settings)
{
	const struct rule *rule = &settings->rule;
	uint64_t own, theirs;
	socklen_t size = sizeof(theirs);
	struct refusal ignored;

	if (netns_read_cookie(&own, &ignored) || !(relay->n_listeners || relay->sessions.n_doors) ||
		getsockopt(relay->n_listeners ? relay->listeners[0].fd : relay->sessions.doors[0].fd,
			SOL_SOCKET, SO_NETNS_COOKIE, &theirs, &size) < 0 ||
		own != theirs)
		return NULL;
	for (size_t i = 0; i < rule->relay.n_backends; i++) {
		const struct rule_backend *backend = &rule->relay.backends[i];

		for (size_t k = 0; k < rule->n_matches && backend->family != AF_UNIX; k++)
			if (rule_match_covers(&rule->matches[k], rule->matches[k].protocol, backend->family,
				    backend->address, backend->port))
				return backend;
	}
	return NULL;
}

static int load(const struct relay *relay, struct settings **ret, struct refusal *refusal)
{
	struct settings *settings = NULL;
	const struct rule_backend *circle;
	int r = settings_load(relay->directories, relay->home.name, &settings, refusal);

	if (r < 0)
		return refuse(
			refusal, -r, "cannot read the rule of '%s' (%s)", relay->home.name, errno_name(-r));
	if (r)
		return r;
	circle = find_circle(relay, settings);
	if (circle) {
		(void)refuse(refusal, ELOOP,
			"%s:%u: this rule leads Connect=%s back to the relay (ELOOP); write another address or port, or set NetworkNamespacePath= of the unit to the namespace of the backend",
			settings->rule.path, circle->line, circle->text);
		settings_unref(settings);
		return REFUSED;
	}
	*ret = settings;
	return 0;
}

static void use(struct relay *relay, struct settings *settings)
{
	settings_unref(relay->settings);
	relay->settings = settings;
	relay->home.current = settings;
	relay->sessions.settings = settings;
	describe_settings(relay);
	(void)sd_notifyf(0, "STATUS=Relaying to %s%s", settings->rule.relay.backends[0].text,
		settings->rule.relay.n_backends > 1 ? " and others" : "");
}

void relay_reload(struct relay *relay)
{
	struct settings *settings = NULL;
	struct refusal refusal;

	if (load(relay, &settings, &refusal)) {
		observe(OBSERVE_RELOAD_FAILED,
			&(struct observed){.name = relay->home.name, .reason = refusal.text},
			"cannot reload: %s; the relay goes on as before", refusal.text);
		return;
	}
	use(relay, settings);
	watch_listeners(relay);
	observe(OBSERVE_RELOADED, &(struct observed){.name = relay->home.name, .rule = settings->rule.path},
		"read %s again, for new connections", settings->rule.path);
}

/* ---- the beginning and the end */

int relay_start_consume(struct relay *relay, const int *fds, size_t n_fds)
{
	struct settings *settings = NULL;
	struct refusal refusal;

	relay->home.loop = relay->loop;
	relay->home.left = connection_left;
	relay->pause.elapse = end_pause;
	relay->max_connections = 1;
	relay->listeners = calloc(n_fds, sizeof(*relay->listeners));
	relay->sessions.doors = calloc(n_fds, sizeof(*relay->sessions.doors));
	if (!relay->listeners || !relay->sessions.doors || loop_reserve(relay->loop, 8) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_fds; i++)
		if (sd_is_socket(fds[i], AF_UNSPEC, SOCK_DGRAM, -1) > 0)
			relay->sessions.doors[relay->sessions.n_doors++].fd = fds[i];
		else
			relay->listeners[relay->n_listeners++] =
				(struct listener){{accept_client}, relay, fds[i], false};
	if (load(relay, &settings, &refusal)) {
		observe(OBSERVE_FAULT, &(struct observed){.name = relay->home.name, .error = refusal.error},
			"%s; clients are reset until a reload finds a rule that can be used", refusal.text);
		(void)sd_notify(0, "STATUS=No rule that can be used: clients are reset");
	} else {
		use(relay, settings);
	}
	watch_listeners(relay);
	relay->sessions.loop = relay->loop;
	relay->sessions.tally = relay->home.tally;
	relay->sessions.name = relay->home.name;
	return sessions_start(&relay->sessions);
}

static void elapse_drain(struct loop_timer *timer)
{
	struct relay *relay = (struct relay *)((char *)timer - offsetof(struct relay, drain));

	loop_end(relay->loop);
}

/* The listening sockets stay open at the service manager's: clients wait there for the next relay. */
void relay_drain(struct relay *relay)
{
	if (relay->draining) /* a second request asks for the end at once */
		relay->drain_ms = 0;
	relay->draining = true;
	watch_listeners(relay);
	sessions_stop(
		&relay->sessions); /* they have no end to wait for; later datagrams wait for the next relay */
	if (!relay->home.tally->open) {
		loop_end(relay->loop);
		return;
	}
	(void)sd_notifyf(0, "STATUS=Waiting for the end of %llu connections",
		(unsigned long long)relay->home.tally->open);
	relay->drain.elapse = elapse_drain;
	loop_set(relay->loop, &relay->drain, relay->loop->now_ms + relay->drain_ms);
}

void relay_deinit(struct relay *relay)
{
	relay->draining = true;
	connection_end_all(&relay->home);
	sessions_stop(&relay->sessions);
	if (relay->loop)
		loop_deinit(relay->loop);
	for (size_t i = 0; i < relay->n_listeners; i++)
		closep(&relay->listeners[i].fd);
	free(relay->listeners);
	free(relay->sessions.doors);
	free(relay->sessions.buckets);
	pipes_deinit(&relay->home.tools.pipes);
	settings_unref(relay->settings);
}
