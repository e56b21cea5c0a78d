/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookups.h"

#include <errno.h>
#include <stdlib.h>

#include "../util/clock.h"
#include "../worker/clerk.h"

/* An account in a queue, which keeps it */
struct lookup {
	struct lookup *next;
	struct account *account;
	uint64_t ticket;
};

/* Tickets are given and served in order. */
struct queue {
	struct lookup *first, **end;
	uint64_t given, served;
};

struct lookup_wait {
	struct lookup_wait *next;
	struct lookups *lookups;
	sd_event_source *deadline;
	uint64_t urgent, rest; /* tickets; 0: none */
	void (*done)(void *userdata);
	void *userdata;
};

struct lookups {
	sd_event *event; /* borrowed */
	struct accounts *accounts;
	struct clerk *clerk;
	struct queue urgent, rest; /* what requests wait for comes first */
	struct queue *asking;	   /* the first of it is being asked; NULL: none */
	uint64_t asked;
	struct lookup_wait *waits;
	bool altered;
	void (*idle)(bool altered, void *userdata);
	void *userdata;
};

static void lookup_free(struct lookups *lookups, struct lookup *lookup)
{
	if (lookup->account->lookup == lookup)
		lookup->account->lookup = NULL;
	accounts_drop(lookups->accounts, lookup->account);
	free(lookup);
}

static void serve_first(struct lookups *lookups, struct queue *queue)
{
	struct lookup *lookup = queue->first;

	queue->first = lookup->next;
	if (!queue->first)
		queue->end = &queue->first;
	queue->served = lookup->ticket;
	lookup_free(lookups, lookup);
}

static void ask_next(struct lookups *lookups)
{
	const struct account *account;

	if (lookups->asking)
		return;
	if (!lookups->urgent.first && !lookups->rest.first) {
		clerk_rest(lookups->clerk);
		lookups->idle(lookups->altered, lookups->userdata);
		lookups->altered = false;
		return;
	}
	lookups->asking = lookups->urgent.first ? &lookups->urgent : &lookups->rest;
	account = lookups->asking->first->account;
	/* a request that comes from now on wants a later answer */
	lookups->asking->first->account->lookup = NULL;
	lookups->asked = clock_monotonic_usec();
	clerk_ask(lookups->clerk, account->kind, account->name);
}

/* NULL: no memory */
static struct lookup *queue_add(struct queue *queue, struct account *account)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	lookup->account = account;
	account->n_references++;
	lookup->ticket = ++queue->given;
	*queue->end = lookup;
	queue->end = &lookup->next;
	return lookup;
}

/* ---- those who wait */

bool lookup_wait_is_over(const struct lookup_wait *wait)
{
	return wait->urgent <= wait->lookups->urgent.served && wait->rest <= wait->lookups->rest.served;
}

void lookup_cancel(struct lookup_wait *wait)
{
	struct lookup_wait **at;

	if (!wait)
		return;
	for (at = &wait->lookups->waits; *at != wait; at = &(*at)->next)
		continue;
	*at = wait->next;
	sd_event_source_disable_unref(wait->deadline);
	free(wait);
}

static void finish(struct lookup_wait *wait)
{
	void (*done)(void *userdata) = wait->done;
	void *userdata = wait->userdata;

	lookup_cancel(wait);
	done(userdata);
}

/* The list may be another one after each. */
static void finish_all(struct lookups *lookups)
{
	struct lookup_wait *wait = lookups->waits;

	while (wait) {
		if (!lookup_wait_is_over(wait)) {
			wait = wait->next;
			continue;
		}
		finish(wait);
		wait = lookups->waits;
	}
}

static void on_answered(int result, id_t id, void *userdata)
{
	struct lookups *lookups = userdata;
	struct queue *queue = lookups->asking;

	lookups->asking = NULL;
	lookups->altered |= account_answer(queue->first->account, result, id, lookups->asked);
	serve_first(lookups, queue);
	ask_next(lookups);
	finish_all(lookups);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	finish(userdata);
	return 0;
}

struct lookup_wait *lookups_wait(struct lookups *lookups, void (*done)(void *userdata), void *userdata)
{
	struct lookup_wait *wait = calloc(1, sizeof(*wait));

	if (!wait)
		return NULL;
	*wait = (struct lookup_wait){
		.next = lookups->waits, .lookups = lookups, .done = done, .userdata = userdata};
	if (sd_event_add_time_relative(lookups->event, &wait->deadline, CLOCK_MONOTONIC,
		    LOOKUPS_PATIENCE_MS * 1000ULL, 0, on_deadline, wait) < 0) {
		free(wait);
		return NULL;
	}
	lookups->waits = wait;
	return wait;
}

void lookup_wait_for(struct account *account, void *waiting)
{
	struct lookup_wait *wait = waiting;
	struct lookups *lookups = wait->lookups;
	const struct lookup *queued;

	if (!account->lookup)
		account->lookup = queue_add(&lookups->urgent, account);
	/* without memory it is decided by what is known */
	queued = account->lookup;
	if (queued && queued->ticket > wait->urgent)
		wait->urgent = queued->ticket;
	ask_next(lookups);
}

static void add_to_rest(struct account *account, void *lookups)
{
	account->asked = 0;
	(void)queue_add(&((struct lookups *)lookups)->rest, account);
}

void lookups_ask_all(struct lookups *lookups)
{
	accounts_foreach(lookups->accounts, add_to_rest, lookups);
	if (lookups->rest.first)
		ask_next(lookups);
}

void lookup_wait_for_all(struct lookup_wait *wait)
{
	wait->rest = wait->lookups->rest.given;
}

/* ---- begin and end */

int lookups_new(sd_event *event, int nursery, struct accounts *accounts,
	void (*idle)(bool altered, void *userdata), void *userdata, struct lookups **ret)
{
	_cleanup_(lookups_freep) struct lookups *lookups = calloc(1, sizeof(*lookups));
	int r;

	if (!lookups)
		return -ENOMEM;
	*lookups = (struct lookups){.event = event, .accounts = accounts, .idle = idle, .userdata = userdata};
	lookups->urgent.end = &lookups->urgent.first;
	lookups->rest.end = &lookups->rest.first;
	r = clerk_new(event, nursery, on_answered, lookups, &lookups->clerk);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(lookups);
	return 0;
}

struct lookups *lookups_free(struct lookups *lookups)
{
	if (!lookups)
		return NULL;
	clerk_free(lookups->clerk);
	while (lookups->waits)
		lookup_cancel(lookups->waits);
	while (lookups->urgent.first)
		serve_first(lookups, &lookups->urgent);
	while (lookups->rest.first)
		serve_first(lookups, &lookups->rest);
	free(lookups);
	return NULL;
}
