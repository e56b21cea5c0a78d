/* SPDX-License-Identifier: BSD-3-Clause */
#include "discoverer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/netns.h"
#include "agenda.h"
#include "budget.h"
#include "complaints.h"
#include "pace.h"
#include "ruleset.h"
#include "scanner.h"
#include "subscription.h"
#include "watch.h"

/* Without those that strangers can cause at will: misses by remote hosts, refusals of local users */
static const enum observe_kind broker_events[] = {OBSERVE_RELOADED, OBSERVE_GONE, OBSERVE_TAKEN_OVER};
#define AGAIN_US 20000U

/* A process that listens and closes in a loop causes at most this many scans in a window. */
#define SCANS_BURST 10U
#define SCANS_WINDOW_US 100000U

static const char status_waiting[] = "Waiting for sockets to listen",
		  status_scanning[] = "Scanning for listening sockets",
		  status_no_broker[] = "Waiting for the broker";

struct discoverer {
	sd_event *event;
	struct discoverer_manner manner;
	struct ruleset set;
	struct watch watch;
	struct subscription *subscription;
	sd_event_source *scan_source, *timer_source, *again_source;
	sd_event_source *pause_source; /* enabled while scans pause, because the last ones took long */
	struct agenda agenda, again;   /* again: for on_again() */
	bool is_due;
	struct scanner *scanner;
	uint64_t scan_begin; /* CLOCK_MONOTONIC, us: of the scan under way */
	struct budget budget;
	const char
		*status; /* the last one sent to the service manager; a scan repeats it only if it changes */
	bool is_ready;
	struct pace pace;
	bool told_broker; /* it has been reported that there is none */
	struct complaints complaints;
};

/* ---- when */

static void scan_soon(struct discoverer *discoverer)
{
	discoverer->is_due = true;
	if (!scanner_is_busy(discoverer->scanner) &&
		sd_event_source_get_enabled(discoverer->pause_source, NULL) == 0)
		(void)sd_event_source_set_enabled(discoverer->scan_source, SD_EVENT_ONESHOT);
}

static int on_rested(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct discoverer *discoverer = userdata;

	(void)source;
	(void)usec;
	if (discoverer->is_due)
		scan_soon(discoverer);
	return 0;
}

static void keep_to_budget(struct discoverer *discoverer, uint64_t begin)
{
	uint64_t pause = budget_charge(&discoverer->budget, begin, clock_monotonic_usec());

	if (!pause)
		return;
	(void)sd_event_source_set_time_relative(discoverer->pause_source, pause);
	(void)sd_event_source_set_enabled(discoverer->pause_source, SD_EVENT_ONESHOT);
}

static void scan_all_soon(struct discoverer *discoverer)
{
	discoverer->agenda.all = true;
	scan_soon(discoverer);
}

/* After a scan: set the timer for the next one that no event causes. */
static void pause_after_scan(struct discoverer *discoverer, const struct pace_scan *scan)
{
	unsigned interval = discoverer->watch.hooks ? 0 : ruleset_interval(&discoverer->set),
		 pause = pace_next(&discoverer->pace, interval, scan);

	if (pause)
		(void)sd_event_source_set_time_relative(discoverer->timer_source, pause * UINT64_C(1000));
	(void)sd_event_source_set_enabled(discoverer->timer_source, pause ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	scan_all_soon(userdata);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct discoverer *discoverer = userdata;

	(void)source;
	(void)usec;
	for (size_t i = 0; i < discoverer->again.n_ports; i++)
		agenda_add_again(&discoverer->agenda, discoverer->again.ports[i].protocol,
			discoverer->again.ports[i].port);
	discoverer->agenda.all |= discoverer->again.all;
	discoverer->again = (struct agenda){.n_ports = 0};
	scan_soon(discoverer);
	return 0;
}

/*
 * The kernel runs post_bind a moment before a UDP socket has its port, so a scan may come too early to see it. And of
 * several sockets of a port, only the first is reported. So a UDP port is scanned once more.
 */
static void look_again(struct discoverer *discoverer, uint8_t protocol, uint16_t port)
{
	agenda_add_again(&discoverer->again, protocol, port);
	if (sd_event_source_get_enabled(discoverer->again_source, NULL))
		return; /* do not move it: a process that binds in a loop would postpone it for ever */
	(void)sd_event_source_set_time_relative(discoverer->again_source, AGAIN_US);
	(void)sd_event_source_set_enabled(discoverer->again_source, SD_EVENT_ONESHOT);
}

static void tell_ready(struct discoverer *discoverer, const char *status)
{
	if (status == discoverer->status)
		return;
	discoverer->status = status;
	(void)sd_notifyf(0, "%sSTATUS=%s", discoverer->is_ready ? "" : "READY=1\n", status);
	discoverer->is_ready = true;
}

/* ---- scanning */

/* Before the scan: a socket that begins to listen from now on causes another one. */
static void expect_more(struct discoverer *discoverer)
{
	const struct agenda *agenda = &discoverer->agenda;

	for (size_t i = 0; i < agenda->n_ports; i++) {
		watch_again(&discoverer->watch, agenda->ports[i].protocol, agenda->ports[i].port);
		if (agenda->ports[i].protocol == IPPROTO_UDP && !agenda->ports[i].is_again)
			look_again(discoverer, agenda->ports[i].protocol, agenda->ports[i].port);
	}
	if (agenda->all)
		watch_again(&discoverer->watch, 0, 0);
}

static int on_scan(sd_event_source *source, void *userdata)
{
	struct discoverer *discoverer = userdata;

	(void)source;
	if (scanner_is_busy(discoverer->scanner))
		return 0; /* what is due is scanned after it */
	discoverer->is_due = false;
	discoverer->scan_begin = clock_monotonic_usec();
	expect_more(discoverer);
	scanner_start(discoverer->scanner, &discoverer->agenda);
	discoverer->agenda = (struct agenda){.n_ports = 0};
	return 0;
}

static void on_scan_end(const struct scanner_record *end, void *userdata)
{
	struct discoverer *discoverer = userdata;
	const struct pace_scan scan = {.is_unfinished = end->is_unfinished, .is_moving = end->is_moving};

	if (end->is_new)
		pace_reset(&discoverer->pace);
	keep_to_budget(discoverer, discoverer->scan_begin);
	pause_after_scan(discoverer, &scan);
	tell_ready(discoverer, discoverer->watch.hooks ? status_waiting : status_scanning);
	if (discoverer->is_due)
		scan_soon(discoverer);
}

static void on_complaint(const struct complaint *complaint, void *userdata)
{
	struct discoverer *discoverer = userdata;
	const struct rule *rule = rule_set_find(discoverer->set.rules, complaint->name);

	if (rule)
		complaints_report(&discoverer->complaints, rule, complaint);
}

static void on_scan_failure(const char *reason, void *userdata)
{
	(void)userdata;
	observe(OBSERVE_FAILED, NULL, "cannot look for sockets: %s", reason);
}

/* ---- the hooks */

static void on_listen(const struct usher_listen *listen, void *userdata)
{
	struct discoverer *discoverer = userdata;

	discoverer->pace.n_moves = 0;
	agenda_add_listen(&discoverer->agenda, listen);
	scan_soon(discoverer);
}

static void on_lost(void *userdata)
{
	scan_all_soon(userdata);
}

/* ---- rules */

void discoverer_reload(struct discoverer *discoverer)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	char text[512];
	int r = ruleset_load(&discoverer->set, discoverer->manner.instance->rule_dirs, &problems);

	if (r) {
		const struct observed about = {
			.reason = r < 0 ? errno_text(-r)
					: problem_format(&problems.items[0], text, sizeof(text))};

		observe(OBSERVE_RELOAD_FAILED, &about, "the rules stay as they were: %s", about.reason);
	}
	scanner_renew(discoverer->scanner);
	watch_replace(&discoverer->watch, discoverer->set.rules);
	pace_reset(&discoverer->pace);
	scan_all_soon(discoverer);
}

/* ---- the broker */

static void on_broker_up(void *userdata)
{
	struct discoverer *discoverer = userdata;

	discoverer->told_broker = false;
	/* its rules and maps may not be those of the last connection */
	discoverer_reload(discoverer);
}

static void on_broker_event(const struct message *event, void *userdata)
{
	struct discoverer *discoverer = userdata;
	const char *name = message_get(event, KEY_NAME);
	const struct rule *rule;
	enum observe_kind kind;

	if (message_get(event, KEY_LOST)) {
		on_broker_up(discoverer);
	} else if (!observe_from_word(message_get(event, KEY_EVENT), &kind)) {
		return;
	} else if (kind == OBSERVE_RELOADED) {
		discoverer_reload(discoverer);
	} else if (name && (kind == OBSERVE_GONE || kind == OBSERVE_TAKEN_OVER)) {
		rule = rule_set_find(discoverer->set.rules, name);
		if (!rule || !rule->discover.present)
			return;
		discoverer->pace.n_moves = 0;
		agenda_add_name(&discoverer->agenda, name);
		scan_soon(discoverer);
	}
}

static void on_broker_down(const struct refusal *why, void *userdata)
{
	struct discoverer *discoverer = userdata;

	if (!discoverer->told_broker && discoverer->is_ready)
		observe(OBSERVE_NO_BROKER, NULL, "there is no broker to hand sockets in to: %s", why->text);
	discoverer->told_broker = discoverer->is_ready;
	tell_ready(discoverer, status_no_broker);
}

/* ---- */

static int make_scanner(struct discoverer *discoverer)
{
	const struct scanner_manner manner = {
		.event = discoverer->event,
		.set = &discoverer->set,
		.broker = discoverer->manner.socket,
		.netns_cookie = discoverer->watch.netns_cookie,
		.first_fd = discoverer->manner.first_fd,
		.complain = on_complaint,
		.fail = on_scan_failure,
		.end = on_scan_end,
		.userdata = discoverer,
	};

	return scanner_new(&manner, &discoverer->scanner);
}

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
		r = ruleset_load(&discoverer->set, discoverer->manner.instance->rule_dirs, problems);
	if (!r)
		r = make_scanner(discoverer);
	if (r)
		return r;
	r = sd_event_add_time(
		discoverer->event, &discoverer->timer_source, CLOCK_MONOTONIC, 0, 0, on_time, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->timer_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(discoverer->event, &discoverer->again_source, CLOCK_MONOTONIC, 0, 0,
			on_again, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->again_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(discoverer->event, &discoverer->scan_source, on_scan, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->scan_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(discoverer->event, &discoverer->pause_source, CLOCK_MONOTONIC, 0, 1,
			on_rested, discoverer);
	if (r >= 0)
		r = sd_event_source_set_enabled(discoverer->pause_source, SD_EVENT_OFF);
	/* It has the same priority as its causes: with a lower one, endless events would starve it. */
	if (r >= 0)
		r = sd_event_source_set_ratelimit(discoverer->scan_source, SCANS_WINDOW_US, SCANS_BURST);
	if (r >= 0)
		r = subscription_new(discoverer->event, discoverer->manner.socket, broker_events,
			ARRAY_SIZE(broker_events), &handlers, &discoverer->subscription);
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
	pace_reset(&discoverer->pace);
	discoverer->watch = (struct watch){
		.event = event,
		.cgroup = manner->cgroup,
		.pins = manner->instance->pins,
		.handlers = {.listen = on_listen, .lost = on_lost, .userdata = discoverer},
	};
	r = set_up(discoverer, problems, refusal);
	if (r)
		return r;
	watch_replace(&discoverer->watch, discoverer->set.rules);
	*ret = TAKE_PTR(discoverer);
	return 0;
}

struct discoverer *discoverer_free(struct discoverer *discoverer)
{
	if (!discoverer)
		return NULL;
	subscription_free(discoverer->subscription);
	scanner_free(discoverer->scanner);
	sd_event_source_disable_unref(discoverer->scan_source);
	sd_event_source_disable_unref(discoverer->timer_source);
	sd_event_source_disable_unref(discoverer->again_source);
	sd_event_source_disable_unref(discoverer->pause_source);
	watch_deinit(&discoverer->watch);
	ruleset_deinit(&discoverer->set);
	sd_event_unref(discoverer->event);
	free(discoverer);
	return NULL;
}
