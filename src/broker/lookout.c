/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookout.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "broker.h"
#include "lookout_diag.h"

/* Between two looks: hooks of a process that binds in a loop must not keep the broker busy. */
#define PAUSE_USEC 100000U
/* After a change, until what a thread was about to do has happened */
#define SECOND_LOOK_USEC 1000000U

struct lookout {
	struct obstacles *obstacles; /* NULL: nothing is counted */
	sd_event_source *timer;
	uint64_t looked; /* CLOCK_MONOTONIC usec of the last look */
	uint64_t events_lost;
	struct lookout_ports due, later; /* to look at soon, and in a second */
	char *blindness;
	bool failing; /* has been reported */
};

struct lookout *lookout_free(struct lookout *lookout)
{
	if (!lookout)
		return NULL;
	sd_event_source_disable_unref(lookout->timer);
	obstacles_close(lookout->obstacles);
	free(lookout->blindness);
	free(lookout);
	return NULL;
}

struct obstacles *lookout_obstacles(const struct broker *broker)
{
	return broker->lookout->obstacles;
}

const char *lookout_blindness(const struct broker *broker)
{
	return broker->lookout->blindness;
}

/* ---- which ports */

static void track_match(
	struct usher_obstacle_tracked *tracked, const struct rule_match *match, int family, uint32_t table)
{
	if (!rule_match_concerns(match, match->protocol, family))
		return;
	memset(&tracked->ports[(table | (match->protocol == IPPROTO_UDP)) << 16 | match->first],
		USHER_TRACKED, (size_t)(match->last - match->first) + 1);
}

/* The ports of rules with a later order. Return: whether there is a port of UDP. */
static bool list_ports(const struct generation *generation, struct usher_obstacle_tracked *tracked)
{
	bool udp = false;

	for (size_t i = 0; i < generation->rules->n_rules; i++) {
		const struct rule *rule = &generation->rules->rules[i];

		for (size_t k = 0; k < rule->n_matches && rule->order != RULE_FIRST; k++) {
			track_match(tracked, &rule->matches[k], AF_INET, USHER_TABLE_TCP4);
			track_match(tracked, &rule->matches[k], AF_INET6, USHER_TABLE_TCP6);
			udp = udp || rule->matches[k].protocol == IPPROTO_UDP;
		}
	}
	return udp;
}

/* ---- looks */

static void set_timer(const struct lookout *lookout)
{
	uint64_t next = UINT64_MAX;

	if (!lookout_ports_is_empty(&lookout->due))
		next = lookout->looked + PAUSE_USEC;
	else if (!lookout_ports_is_empty(&lookout->later))
		next = lookout->looked + SECOND_LOOK_USEC;
	(void)sd_event_source_set_time(lookout->timer, next);
	(void)sd_event_source_set_enabled(
		lookout->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void add_ports(struct lookout_ports *ports, const struct lookout_ports *more)
{
	if (more->all)
		lookout_ports_add(ports, 0, 0);
	for (size_t i = 0; i < more->n; i++)
		lookout_ports_add(ports, more->items[i].protocol, more->items[i].port);
}

/* One that fails is repeated in a second; what is not counted then yields, or is asked for again when a packet yields. */
static void look(struct broker *broker, uint64_t now)
{
	struct lookout *lookout = broker->lookout;
	struct lookout_ports ports = lookout->due;
	struct refusal refusal;
	bool changed = false;
	int r;

	lookout->due = (struct lookout_ports){.n = 0};
	r = lookout_look(lookout->obstacles, &ports, &changed, &refusal);
	lookout->looked = now;
	if (r < 0)
		(void)refuse(&refusal, -r, "%s", errno_name(-r));
	if (r && !lookout->failing)
		observe(OBSERVE_FAILED, &(struct observed){.error = refusal.error, .reason = refusal.text},
			"usherd cannot look which sockets come before rules with Order=before-wildcard or Order=last: %s",
			refusal.text);
	lookout->failing = r;
	if (changed || r)
		add_ports(&lookout->later, &ports);
}

static int on_timer(sd_event_source *source, uint64_t time, void *userdata)
{
	struct broker *broker = userdata;
	struct lookout *lookout = broker->lookout;
	uint64_t now;

	(void)source;
	(void)time;
	(void)sd_event_now(broker->event, CLOCK_MONOTONIC, &now);
	if (lookout->obstacles && !lookout->blindness) {
		if (now >= lookout->looked + SECOND_LOOK_USEC) {
			add_ports(&lookout->due, &lookout->later);
			lookout->later = (struct lookout_ports){.n = 0};
		}
		if (!lookout_ports_is_empty(&lookout->due))
			look(broker, now);
	}
	set_timer(lookout);
	return 0;
}

void lookout_note(struct broker *broker, const struct usher_event *event)
{
	lookout_ports_add(&broker->lookout->due, event->protocol, event->local_port);
}

void lookout_follow(struct broker *broker)
{
	struct lookout *lookout = broker->lookout;
	uint64_t now, lost;

	if (!lookout->obstacles || lookout->blindness)
		return;
	lost = __atomic_load_n(&lookout->obstacles->counts->table.n_events_lost, __ATOMIC_RELAXED);
	if (lost != lookout->events_lost)
		lookout_ports_add(&lookout->due, 0, 0);
	lookout->events_lost = lost;
	if (lookout_ports_is_empty(&lookout->due))
		return;
	(void)sd_event_now(broker->event, CLOCK_MONOTONIC, &now);
	if (now >= lookout->looked + PAUSE_USEC)
		look(broker, now);
	set_timer(lookout);
}

/* ---- begin and end */

int lookout_new(struct broker *broker)
{
	int r;

	broker->lookout = calloc(1, sizeof(*broker->lookout));
	if (!broker->lookout)
		return -ENOMEM;
	r = sd_event_add_time(
		broker->event, &broker->lookout->timer, CLOCK_MONOTONIC, 0, 0, on_timer, broker);
	return r < 0 ? r : sd_event_source_set_enabled(broker->lookout->timer, SD_EVENT_OFF);
}

/* Attaches the hooks, and then counts what was there before. */
static int begin(struct lookout *lookout, bool udp, struct refusal *refusal)
{
	const struct lookout_ports all = {.all = true};
	bool changed = false;
	int r = obstacles_attach(lookout->obstacles, udp, refusal);

	if (!r)
		r = lookout_look(lookout->obstacles, &all, &changed, refusal);
	if (!r && changed)
		lookout_ports_add(&lookout->later, 0, 0);
	return r;
}

/* Then everything on the ports yields. */
static int become_blind(struct broker *broker, const struct usher_obstacle_tracked *tracked, int r,
	const struct refusal *refusal)
{
	struct lookout *lookout = broker->lookout;

	lookout->blindness = strdup(r < 0 ? errno_name(-r) : refusal->text);
	if (!lookout->blindness)
		return -ENOMEM;
	for (uint32_t where = 0; where < USHER_TABLES * USHER_PORTS; where++)
		if (tracked->ports[where] && !obstacles_lost(lookout->obstacles, where))
			obstacles_lose(lookout->obstacles, where);
	observe(OBSERVE_FAILED, &(struct observed){.reason = lookout->blindness},
		"usherd cannot count which sockets come before rules with Order=before-wildcard or Order=last, so these rules take no packet: %s",
		lookout->blindness);
	return 0;
}

int lookout_prepare(struct broker *broker, const struct generation *next, struct refusal *refusal)
{
	_cleanup_free_ struct usher_obstacle_tracked *tracked = NULL;
	struct lookout *lookout = broker->lookout;
	bool udp;
	int r = 0;

	if (!generation_has_later(next))
		return 0;
	tracked = calloc(1, sizeof(*tracked));
	if (!tracked)
		return -ENOMEM;
	udp = list_ports(next, tracked);
	if (broker->generation)
		udp = list_ports(broker->generation, tracked) || udp;
	if (!lookout->obstacles)
		r = obstacles_open(&broker->pins, broker->netns_cookie,
			broker->registry.maps[REGISTRY_EVENTS], &lookout->obstacles, refusal);
	if (r)
		return r;
	/* an earlier broker may have tracked more, for the rules that are in force until the switch */
	obstacles_track(lookout->obstacles, tracked, true);
	r = begin(lookout, udp, refusal);
	if (!r) {
		free(TAKE_PTR(lookout->blindness));
		set_timer(lookout);
		return 0;
	}
	return broker->generation ? r : become_blind(broker, tracked, r, refusal);
}

/* What is on ports that are not tracked any more */
static void forget_others(const struct obstacles *obstacles)
{
	_cleanup_free_ struct obstacles_record *records = NULL;
	size_t n = 0;

	if (obstacles_read(obstacles, &records, &n) < 0)
		return; /* they count for no rule, and go when they close */
	for (size_t i = 0; i < n; i++) {
		const struct usher_obstacle *obstacle = &records[i].obstacle;
		uint32_t where = obstacle->tuple.where;

		if (!obstacles_is_tracked(obstacles, where) &&
			!(obstacle->flags & USHER_OBSTACLE_BOTH &&
				obstacles_is_tracked(obstacles, where & ~(2U << 16))))
			(void)obstacles_forget(obstacles, records[i].cookie);
	}
}

static void end(struct broker *broker)
{
	struct lookout *lookout = broker->lookout;

	if (lookout->obstacles || obstacles_are_pinned(&broker->pins))
		obstacles_remove(&broker->pins);
	lookout->obstacles = obstacles_close(lookout->obstacles);
	free(TAKE_PTR(lookout->blindness));
	lookout->due = lookout->later = (struct lookout_ports){.n = 0};
	set_timer(lookout);
}

void lookout_settle(struct broker *broker)
{
	_cleanup_free_ struct usher_obstacle_tracked *tracked = NULL;
	struct lookout *lookout = broker->lookout;

	if (!broker->generation)
		return; /* the rules of an earlier broker are in force, and what it left is for them */
	if (!generation_has_later(broker->generation)) {
		end(broker);
		return;
	}
	tracked = calloc(1, sizeof(*tracked));
	if (!tracked)
		return; /* more is counted than is needed */
	if (!list_ports(broker->generation, tracked))
		obstacles_detach_udp(lookout->obstacles);
	obstacles_track(lookout->obstacles, tracked, false);
	forget_others(lookout->obstacles);
}
