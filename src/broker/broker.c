/* SPDX-License-Identifier: BSD-3-Clause */
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "../datapath/link.h"
#include "../datapath/loader.h"
#include "../datapath/program.h"
#include "../observe/observe.h"
#include "../rule/fault.h"
#include "../rule/spare.h"
#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/netns.h"
#include "../worker/staff.h"
#include "early.h"
#include "hand_in.h"
#include "lookout.h"
#include "naming.h"
#include "reap.h"

/* ---- generations */

struct leftover {
	const struct broker *broker;
	uint32_t current; /* identifier of the program on the link */
	uint64_t last;	  /* the highest number of a generation that was pinned */
	int program;	  /* the current one, when it has a pin */
};

static int adopt_program(const char *name, uint64_t generation, void *userdata)
{
	struct leftover *leftover = userdata;
	_cleanup_close_ int program = pins_get(&leftover->broker->pins, name);
	uint32_t id = 0;

	if (generation > leftover->last)
		leftover->last = generation;
	if (program >= 0 && program_read_id(program, &id) == 0 && id == leftover->current) {
		closep(&leftover->program);
		leftover->program = TAKE_FD(program);
	} else {
		/* dropped now, not after the next switch: they would pile up if the broker died at each start */
		(void)pins_drop(&leftover->broker->pins, name);
	}
	return 0;
}

/* Finds the link and the program on it that an earlier broker left. */
static int adopt_link(struct broker *broker)
{
	struct leftover leftover = {.broker = broker, .program = -1};
	struct usher_state state;
	struct link_info info;
	int r;

	r = registry_read_state(&broker->registry, &state);
	if (r < 0)
		return r;
	r = link_open(&broker->pins, &broker->link);
	if (r < 0)
		return r;
	if (r == 0 && link_read_info(broker->link, &info) == 0)
		leftover.current = info.program_id;
	r = pins_folder_foreach_program(broker->pins.path, adopt_program, &leftover);
	if (r < 0)
		return r;
	broker->adopted_program = leftover.program;
	if (leftover.last > state.generation) {
		/* a broker died in the middle of a switch; its number has been used */
		state.generation = leftover.last;
		return registry_write_state(&broker->registry, &state);
	}
	return 0;
}

static int drop_other_program(const char *name, uint64_t generation, void *userdata)
{
	const struct broker *broker = userdata;

	if (generation != broker->generation->number)
		(void)pins_drop(&broker->pins, name);
	return 0;
}

/* Frees the seats to which nothing leads after a switch. */
static void free_seats(struct broker *broker)
{
	_cleanup_free_ uint8_t *wanted = calloc(1, USHER_SEATS_MAX);
	const struct generation *generation = broker->generation;

	if (!wanted)
		return; /* the next reload will do it */
	for (size_t i = 0; i < generation->rules->n_rules * USHER_TABLES; i++)
		wanted[generation->seats[i]] = 1;
	registry_foreach_seat (&broker->registry, seat)
		if (!wanted[seat] && !hand_in_needs_seat(broker, seat) && !reap_seat(broker, seat))
			registry_free_seat(&broker->registry, seat);
}

static int current_program(const struct broker *broker)
{
	return broker->generation ? broker->generation->program : broker->adopted_program;
}

static int refuse_pin(const struct broker *broker, int error, struct refusal *refusal)
{
	const char *remedy =
		error == ENOENT
			? "; the folder was removed while usherd ran: start usherd again, and then the services, which have to hand in again"
		: error == EROFS ? "; let the unit write there (ReadWritePaths=)"
				 : "";

	return refuse(refusal, error, "cannot pin the new program in %s (%s)%s", broker->pins.path,
		errno_name(error), remedy);
}

static void report_switch(const struct broker *broker)
{
	const struct generation *generation = broker->generation;
	int programs = loader_count_programs(broker->netns);

	observe(OBSERVE_SWITCHED, NULL, "generation %" PRIu64 " is in force, rules: %zu, matches: %zu",
		generation->number, generation->rules->n_rules, generation->n_matches);
	if (programs > 1)
		observe(OBSERVE_CONFLICT, NULL,
			"%d sk_lookup programs run in this network namespace, usher's among them; the first one that selects a socket decides; 'bpftool link' shows them",
			programs);
}

/* For the next start: then a file that has errors does not end the dispatch to its name. */
static void save_rules(const struct broker *broker, struct generation *next)
{
	const struct rule_set *before = broker->generation ? broker->generation->rules : NULL;
	int r = spare_save(broker->instance->in_force, before, next->rules);

	if (r < 0)
		observe(OBSERVE_FAILED, &(struct observed){.error = -r, .reason = errno_name(-r)},
			"the rules cannot be copied to %s (%s): a name whose file has errors at the next start will have no rule then",
			broker->instance->in_force, errno_name(-r));
}

/* Makes a loaded generation current: the steps of docs/switch.md. Takes it over on success. */
static int make_current(struct broker *broker, struct generation **generation, struct early_plan *plan,
	struct refusal *refusal)
{
	struct generation *next = *generation;
	struct usher_state state;
	char pin[32];
	int r;

	r = registry_read_state(&broker->registry, &state);
	if (r < 0)
		return r;
	next->number = state.generation + 1;
	r = pins_put(&broker->pins, pins_folder_program(next->number, pin), next->program);
	if (r < 0)
		return refuse_pin(broker, -r, refusal);
	r = link_switch(
		&broker->pins, &broker->link, broker->netns, current_program(broker), next->program, refusal);
	if (r) {
		(void)pins_drop(&broker->pins, pin);
		return r;
	}
	/* from here on the new rules are in force; the next broker repairs whatever fails below */
	next->applied = clock_realtime_usec();
	state.generation = next->number;
	state.applied = next->applied;
	(void)registry_write_state(&broker->registry, &state);
	save_rules(broker, next);
	generation_unref(broker->generation);
	broker->generation = TAKE_PTR(*generation);
	closep(&broker->adopted_program);
	broker->adopted_program = -1;
	(void)pins_folder_foreach_program(broker->pins.path, drop_other_program, broker);
	early_apply(broker, plan);
	lookout_settle(broker);
	free_seats(broker);
	report_switch(broker);
	return 0;
}

static int apply(struct broker *broker, struct generation **generation, struct refusal *refusal)
{
	_cleanup_(early_plan_freep) struct early_plan *plan = NULL;
	int r = lookout_prepare(broker, *generation, refusal);

	if (!r)
		r = generation_load(*generation, &broker->registry,
			generation_has_later(*generation) ? lookout_obstacles(broker) : NULL, refusal);
	if (r) {
		lookout_settle(broker);
		return r;
	}
	r = early_plan_new(*generation, &plan, refusal);
	if (!r)
		r = make_current(broker, generation, plan, refusal);
	if (r) {
		generation_unload(*generation, &broker->registry);
		lookout_settle(broker);
	}
	return r;
}

/* The text of rule files, the old rules and an image need many times the memory of an idle broker. */
static void give_memory_back(void)
{
	(void)malloc_trim(0);
}

static void tell_service_manager(const struct broker *broker)
{
	const struct generation *generation = broker->generation;
	const char *fault = generation->rules->n_faults ? generation->rules->faults[0].text : NULL;

	(void)sd_notifyf(0,
		"READY=1\nSTATUS=%s%.400s%s%s%.400s%sGeneration %" PRIu64
		" in force, rules: %zu, matches: %zu",
		broker->reload_failure ? "Reload failed: " : "",
		broker->reload_failure ? broker->reload_failure : "", broker->reload_failure ? ". " : "",
		fault ? "Not every rule file could be used: " : "", fault ? fault : "", fault ? ". " : "",
		generation->number, generation->rules->n_rules, generation->n_matches);
}

static void report_reload(struct broker *broker, int r, const struct rule_changes *changes,
	const struct problems *problems, const struct refusal *refusal)
{
	struct observed about = {.reason = "out of memory"};
	char text[1024];

	free(TAKE_PTR(broker->reload_failure));
	if (r == 0) {
		observe(OBSERVE_RELOADED, NULL,
			"the rules are reloaded: %zu matches added, %zu removed, %zu kept", changes->added,
			changes->removed, changes->kept);
		return;
	}
	for (size_t i = 0; r == BROKER_BAD_RULES && i < problems->n; i++) {
		about.rule = problems->items[i].file;
		about.reason = problem_format(&problems->items[i], text, sizeof(text));
		observe(OBSERVE_RELOAD_FAILED, &about, "%s", text);
	}
	if (r == BROKER_BAD_RULES && problems->n)
		about.reason = problem_format(&problems->items[0], text, sizeof(text));
	else if (r == BROKER_REFUSED)
		about.reason = refusal->text;
	else if (r < 0)
		about.reason = errno_name(-r);
	about.rule = NULL;
	observe(OBSERVE_RELOAD_FAILED, &about, "reload failed, generation %" PRIu64 " stays in force: %s",
		broker->generation->number, about.reason);
	broker->reload_failure = strdup(about.reason);
}

int broker_reload(struct broker *broker, struct rule_changes *ret_changes, struct problems *problems,
	struct refusal *refusal)
{
	_cleanup_(generation_unrefp) struct generation *generation = NULL;
	struct rule_changes changes = {0};
	int r;

	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_usec());
	r = generation_parse(
		broker->generation, broker->instance->rule_dirs, broker->accounts, &generation, problems);
	if (r == GENERATION_BAD)
		r = BROKER_BAD_RULES;
	if (r == 0)
		r = changes_count(broker->generation->rules, generation->rules, &changes);
	if (r == 0)
		r = apply(broker, &generation, refusal);
	generation = generation_unref(generation); /* unless it is the broker's now */
	if (r == 0)
		naming_look_up(broker);
	report_reload(broker, r, &changes, problems, refusal);
	*ret_changes = changes;
	broker_announce(broker);
	return r;
}

/* ---- start and end */

static int open_pins(struct broker *broker, struct refusal *refusal)
{
	int r = pins_folder_make(broker->instance->pins, &broker->pins, refusal);

	if (r == PINS_FOLDER_HELD)
		return refuse(refusal, EBUSY,
			"another usherd holds %s (EBUSY); stop it, or give this one a name of its own with --instance",
			broker->instance->pins);
	return r;
}

/* At the end of the process the kernel closes it, and waits for nothing then. */
static void close_held(int fd, void *userdata)
{
	const struct broker *broker = userdata;

	if (broker->staff)
		sweeper_close_consume(broker->staff->sweeper, fd, false);
}

int broker_adopt(struct broker *broker, sd_event *event, const struct instance *instance,
	const char *instance_name, struct problems *problems, struct refusal *refusal)
{
	int r;

	broker->event = event;
	broker->instance = instance;
	broker->instance_name = instance_name;
	broker->accounts = accounts_new();
	if (!broker->accounts)
		return -ENOMEM;
	r = generation_parse_good(
		instance->rule_dirs, instance->in_force, broker->accounts, &broker->parsed, problems);
	if (r)
		return r == GENERATION_BAD ? BROKER_BAD_RULES : r;
	broker->holder = holder_new(event, close_held, broker);
	broker->registrants = registrants_new(event, reap_on_exit, broker);
	if (!broker->holder || !broker->registrants)
		return -ENOMEM;
	broker->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (broker->netns < 0)
		return -errno;
	r = netns_read_cookie(&broker->netns_cookie, refusal);
	if (!r)
		r = open_pins(broker, refusal);
	if (r)
		return r;
	r = registry_open(&broker->pins, broker->netns_cookie, &broker->registry, refusal);
	if (r < 0)
		return loader_explain(r, refusal);
	if (r)
		return r;
	if (broker->registry.lost)
		observe(OBSERVE_LOST, NULL,
			"pins are missing in %s, so usherd cannot find the sockets that were handed in before; services have to hand in again",
			broker->pins.path);
	if (broker->registry.damaged)
		observe(OBSERVE_LOST, NULL,
			"the map %s/seats is damaged, so that some sockets handed in before cannot be adopted; services have to hand in again",
			broker->pins.path);
	r = adopt_link(broker);
	if (!r)
		r = early_new(broker);
	if (!r)
		r = lookout_new(broker);
	return r ? r : reap_start(broker);
}

int broker_apply(struct broker *broker, struct refusal *refusal)
{
	int r = apply(broker, &broker->parsed, refusal);

	if (!r)
		reap_watch_registrants(broker);
	if (!r)
		naming_look_up(broker);
	return r;
}

void broker_announce(const struct broker *broker)
{
	give_memory_back();
	tell_service_manager(broker);
}

void broker_close(struct broker *broker)
{
	sd_event_source_disable_unref(broker->events_source);
	sd_event_source_disable_unref(broker->reap_source);
	sd_event_source_disable_unref(broker->detach_source);
	events_free(broker->events);
	early_free(broker->early);
	lookout_free(broker->lookout);
	registrants_free(broker->registrants);
	holder_free(broker->holder);
	generation_unref(broker->parsed);
	generation_unref(broker->generation);
	lookups_free(broker->lookups);
	accounts_free(broker->accounts);
	registry_close(&broker->registry);
	closep(&broker->adopted_program);
	closep(&broker->link);
	closep(&broker->netns);
	pins_folder_close(&broker->pins);
	free(broker->reload_failure);
	*broker = BROKER_NULL;
}

static int on_detached(sd_event_source *source, void *userdata)
{
	(void)userdata;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int broker_detach(struct broker *broker, struct refusal *refusal)
{
	int r = pins_folder_remove(&broker->pins, refusal);

	if (r == REFUSED)
		return r;
	closep(&broker->link);
	broker->link = -1;
	if (r == PINS_FOLDER_STAYS)
		observe(OBSERVE_DETACHED, NULL, "detached: nothing is dispatched any more; %s",
			refusal->text);
	else
		observe(OBSERVE_DETACHED, NULL, "detached: %s is removed, nothing is dispatched any more",
			broker->pins.path);
	/* runs after the answer has been sent, and before a broker without a data plane says OK to another client */
	r = sd_event_add_defer(broker->event, &broker->detach_source, on_detached, broker);
	if (r >= 0)
		r = sd_event_source_set_priority(broker->detach_source, SD_EVENT_PRIORITY_IMPORTANT);
	return r < 0 ? r : 0;
}
