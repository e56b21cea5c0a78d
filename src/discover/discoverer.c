/* SPDX-License-Identifier: BSD-3-Clause */
#include "discoverer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "../observe/observe.h"
#include "../util/netns.h"
#include "complaints.h"
#include "deliver.h"
#include "due.h"
#include "subscription.h"
#include "watch.h"

#define BROKER_TIMEOUT_MS 5000
#define FIRST_PAUSE_MS 100U
#define RETRY_PAUSE_MAX_MS 5000U

/* Somebody who listens and closes without end makes this many scans, and no more. */
#define SCANS_BURST 10U
#define SCANS_WINDOW_US 100000U

struct discoverer {
	sd_event *event;
	struct discoverer_manner manner;
	struct rule_set *rules;
	struct access_table *access;
	struct watch watch;
	struct subscription *subscription;
	sd_event_source *due_source, *timer_source;
	struct due due;
	unsigned pause_ms;
	pid_t broker; /* what it holds for others is not its own; 0: not known */
	bool is_ready;
	bool is_retry;	  /* the last scan could not be finished */
	bool told_broker; /* the administrator knows that there is none */
	struct complaints complaints;
};

/* ---- when */

static void scan_soon(struct discoverer *discoverer)
{
	(void)sd_event_source_set_enabled(discoverer->due_source, SD_EVENT_ONESHOT);
}

static void scan_all_soon(struct discoverer *discoverer)
{
	discoverer->due.all = true;
	scan_soon(discoverer);
}

/* The smallest ScanInterval= of the rules */
static unsigned longest_pause(const struct discoverer *discoverer)
{
	unsigned pause = 0;

	for (size_t i = 0; i < discoverer->rules->n_rules; i++) {
		const struct rule_discover *discover = &discoverer->rules->rules[i].discover;

		if (discover->present && (!pause || discover->scan_interval_ms < pause))
			pause = discover->scan_interval_ms;
	}
	return pause;
}

/* After a scan: when the next one is due without anything that causes it */
static void pause_after_scan(struct discoverer *discoverer)
{
	unsigned longest = discoverer->watch.hooks ? 0 : longest_pause(discoverer);

	if (discoverer->is_retry && (!longest || longest > RETRY_PAUSE_MAX_MS))
		longest = RETRY_PAUSE_MAX_MS;
	if (!longest) {
		discoverer->pause_ms = FIRST_PAUSE_MS;
		(void)sd_event_source_set_enabled(discoverer->timer_source, SD_EVENT_OFF);
		return;
	}
	if (discoverer->pause_ms > longest)
		discoverer->pause_ms = longest;
	(void)sd_event_source_set_time_relative(
		discoverer->timer_source, discoverer->pause_ms * UINT64_C(1000));
	(void)sd_event_source_set_enabled(discoverer->timer_source, SD_EVENT_ONESHOT);
	discoverer->pause_ms *= 2;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	scan_all_soon(userdata);
	return 0;
}

static void tell_ready(struct discoverer *discoverer, const char *status)
{
	(void)sd_notifyf(0, "%sSTATUS=%s", discoverer->is_ready ? "" : "READY=1\n", status);
	discoverer->is_ready = true;
}

/* ---- looking */

static int hand_in(struct discoverer *discoverer, struct candidates *candidates, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	bool is_early = false, is_accepted = false;
	int r;

	for (size_t i = 0; i < candidates->n; i++) {
		is_accepted |= candidates->items[i].accepted;
		is_early |= due_is_early(&discoverer->due, candidates->items[i].socket.cookie);
	}
	if (!is_accepted && !is_early)
		return 0;
	r = client_open(&client, discoverer->manner.socket, BROKER_TIMEOUT_MS, refusal);
	if (!r)
		r = deliver(&client, candidates, refusal);
	for (size_t i = 0; i < candidates->n && !r; i++) {
		struct candidate *candidate = &candidates->items[i];

		if (!candidate->accepted && due_is_early(&discoverer->due, candidate->socket.cookie))
			r = deliver_evict(&client, candidate->rule->name, candidate->socket.cookie,
				candidate->refusal.text, refusal);
		if (r == REFUSED)
			r = 0; /* it was closed, or the broker was faster */
	}
	return r ? DELIVER_ABSENT : 0;
}

/* A process that ended on the way here has taken its socket with it: nothing is wrong. */
static bool has_ended(const struct candidate *candidate)
{
	return candidate->owner.pidfd >= 0 && !process_is_alive(&candidate->owner);
}

/* @scan is complete but for what is the same for all. Return: 0, or not when the rest need not be tried. */
static int look(struct discoverer *discoverer, struct scan *scan)
{
	_cleanup_(candidates_deinit) struct candidates candidates = {.n = 0};
	struct refusal refusal;
	int r;

	scan->rules = discoverer->rules;
	scan->access = discoverer->access;
	scan->broker = discoverer->broker;
	scan->netns_cookie = discoverer->watch.netns_cookie;
	r = scan_run(scan, &candidates, &refusal);
	if (r < 0)
		r = refuse(&refusal, -r, "%s (%s)", strerrordesc_np(-r), strerrorname_np(-r));
	if (r) {
		observe(OBSERVE_FAILED, NULL, "cannot look for sockets: %s", refusal.text);
		discoverer->is_retry = true;
		return r;
	}
	r = hand_in(discoverer, &candidates, &refusal);
	discoverer->is_retry |= r != 0;
	for (size_t i = 0; i < candidates.n; i++) {
		const struct candidate *candidate = &candidates.items[i];

		if (!candidate->accepted && !has_ended(candidate))
			complaints_tell(&discoverer->complaints, candidate);
		else if (candidate->accepted && candidate->handed_in && !candidate->kept)
			discoverer->pause_ms = FIRST_PAUSE_MS;
	}
	return r;
}

static void look_at_due(struct discoverer *discoverer)
{
	const struct due *due = &discoverer->due;
	int r = 0;

	if (due->all) {
		(void)look(discoverer, &(struct scan){0});
		return;
	}
	if (due->name[0])
		r = look(discoverer, &(struct scan){.name = due->name});
	for (size_t i = 0; i < due->n_ports && !r; i++)
		r = look(discoverer, &(struct scan){
					     .protocol = due->ports[i].protocol,
					     .port = due->ports[i].port,
					     .pid = due->ports[i].pid,
				     });
}

static int on_due(sd_event_source *source, void *userdata)
{
	struct discoverer *discoverer = userdata;

	(void)source;
	discoverer->is_retry = false;
	look_at_due(discoverer);
	discoverer->due = (struct due){.n_ports = 0};
	pause_after_scan(discoverer);
	tell_ready(discoverer, discoverer->watch.hooks ? "Waiting for sockets to listen"
						       : "Scanning for sockets that listen");
	return 0;
}

/* ---- the hooks */

static void on_listen(const struct usher_listen *listen, void *userdata)
{
	struct discoverer *discoverer = userdata;

	due_add_listen(&discoverer->due, listen);
	scan_soon(discoverer);
}

static void on_lost(void *userdata)
{
	scan_all_soon(userdata);
}

/* ---- rules */

static int load(struct discoverer *discoverer, struct problems *problems)
{
	_cleanup_(access_table_freep) struct access_table *access = NULL;
	_cleanup_(rule_set_freep) struct rule_set *rules = NULL;
	int r;

	r = rule_set_load(discoverer->manner.instance->rule_dirs, &rules, problems);
	if (!r)
		r = access_table_new(rules, &access, problems);
	if (r)
		return r < 0 ? r : DISCOVERER_BAD_RULES;
	access_table_free(discoverer->access);
	rule_set_free(discoverer->rules);
	discoverer->access = TAKE_PTR(access);
	discoverer->rules = TAKE_PTR(rules);
	return 0;
}

void discoverer_reload(struct discoverer *discoverer)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	char text[512];
	int r = load(discoverer, &problems);

	if (r)
		observe(OBSERVE_RELOAD_FAILED, NULL, "the rules stay as they were: %s",
			r < 0 ? strerrordesc_np(-r) : problem_format(&problems.items[0], text, sizeof(text)));
	watch_replace(&discoverer->watch, discoverer->rules);
	scan_all_soon(discoverer);
}

/* ---- the broker */

static pid_t read_broker(const struct discoverer *discoverer)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	pid_t pid = 0;

	if (client_open(&client, discoverer->manner.socket, BROKER_TIMEOUT_MS, &refusal) == 0)
		(void)deliver_read_broker(&client, &pid, &refusal);
	return pid;
}

static void on_broker_up(void *userdata)
{
	struct discoverer *discoverer = userdata;

	discoverer->broker = read_broker(discoverer);
	discoverer->told_broker = false;
	/* it may have other rules, and other maps, than when it was heard of last */
	discoverer_reload(discoverer);
}

static void on_broker_event(const struct message *event, void *userdata)
{
	struct discoverer *discoverer = userdata;
	const char *word = message_get(event, "EVENT"), *name = message_get(event, "NAME");
	const struct rule *rule;

	if (message_get(event, "LOST")) {
		on_broker_up(discoverer);
	} else if (word && !strcmp(word, "reloaded")) {
		discoverer_reload(discoverer);
	} else if (word && name && (!strcmp(word, "gone") || !strcmp(word, "taken-over"))) {
		rule = rule_set_find(discoverer->rules, name);
		if (!rule || !rule->discover.present)
			return;
		due_add_name(&discoverer->due, name);
		scan_soon(discoverer);
	}
}

static void on_broker_down(const struct refusal *why, void *userdata)
{
	struct discoverer *discoverer = userdata;

	if (!discoverer->told_broker && discoverer->is_ready)
		observe(OBSERVE_NO_BROKER, NULL, "no broker to hand sockets in to: %s", why->text);
	discoverer->told_broker = discoverer->is_ready;
	tell_ready(discoverer, "Waiting for the broker");
}

/* ---- */

static int set_up(struct discoverer *discoverer, struct problems *problems, struct refusal *refusal)
{
	const struct subscription_handlers handlers = {
		.up = on_broker_up,
		.event = on_broker_event,
		.down = on_broker_down,
		.userdata = discoverer,
	};
	int r;

	r = netns_read_cookie(&discoverer->watch.netns_cookie, refusal);
	if (!r)
		r = load(discoverer, problems);
	if (r)
		return r;
	r = sd_event_add_time(
		discoverer->event, &discoverer->timer_source, CLOCK_MONOTONIC, 0, 0, on_time, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->timer_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(discoverer->event, &discoverer->due_source, on_due, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->due_source, SD_EVENT_OFF);
	/* after everything that adds to what is due */
	if (r >= 0)
		r = sd_event_source_set_priority(discoverer->due_source, SD_EVENT_PRIORITY_NORMAL + 1);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(discoverer->due_source, SCANS_WINDOW_US, SCANS_BURST);
	if (r >= 0)
		r = subscription_new(
			discoverer->event, discoverer->manner.socket, &handlers, &discoverer->subscription);
	return r < 0 ? r : 0;
}

int discoverer_new(sd_event *event, const struct discoverer_manner *manner, struct discoverer **ret,
	struct problems *problems, struct refusal *refusal)
{
	_cleanup_(discoverer_freep) struct discoverer *discoverer = calloc(1, sizeof(*discoverer));
	int r;

	if (!discoverer)
		return -ENOMEM;
	discoverer->event = sd_event_ref(event);
	discoverer->manner = *manner;
	discoverer->pause_ms = FIRST_PAUSE_MS;
	discoverer->watch = (struct watch){
		.event = event,
		.cgroup = manner->cgroup,
		.pins = manner->instance->pins,
		.handlers = {.listen = on_listen, .lost = on_lost, .userdata = discoverer},
	};
	r = set_up(discoverer, problems, refusal);
	if (r)
		return r;
	watch_replace(&discoverer->watch, discoverer->rules);
	*ret = TAKE_PTR(discoverer);
	return 0;
}

struct discoverer *discoverer_free(struct discoverer *discoverer)
{
	if (!discoverer)
		return NULL;
	subscription_free(discoverer->subscription);
	sd_event_source_disable_unref(discoverer->due_source);
	sd_event_source_disable_unref(discoverer->timer_source);
	watch_deinit(&discoverer->watch);
	access_table_free(discoverer->access);
	rule_set_free(discoverer->rules);
	sd_event_unref(discoverer->event);
	free(discoverer);
	return NULL;
}
