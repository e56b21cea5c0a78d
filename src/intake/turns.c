/* SPDX-License-Identifier: BSD-3-Clause */
#include "turns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "../util/macro.h"

#define BUCKETS 256U

/* A uid some of whose clients wait in a queue */
struct tenant {
	struct queue *queue;
	uid_t uid;
	TAILQ_HEAD(, turn) waiting;
	TAILQ_ENTRY(tenant) entry;
	LIST_ENTRY(tenant) in_bucket;
};

struct queue {
	TAILQ_HEAD(, tenant) tenants; /* the next one first */
	LIST_HEAD(, tenant) buckets[BUCKETS];
};

/*
 * A turn is due while `fd` can be read. A deferred source would come before all others of its priority, such as the
 * door: the event loop takes the one that was ready first, and counts a deferred one as ready from its beginning.
 */
struct turns {
	int fd;
	sd_event_source *source;
	bool due;
	struct queue brief, lengthy;
	unsigned n_brief; /* turns in a row, while lengthy ones wait */
};

static int on_turn(sd_event_source *source, int fd, uint32_t revents, void *userdata);

static void queue_init(struct queue *queue)
{
	TAILQ_INIT(&queue->tenants);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&queue->buckets[i]);
}

int turns_new(sd_event *event, struct turns **ret)
{
	struct turns *turns = calloc(1, sizeof(*turns));
	int r;

	if (!turns)
		return -ENOMEM;
	queue_init(&turns->brief);
	queue_init(&turns->lengthy);
	turns->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = turns->fd < 0 ? -errno
			  : sd_event_add_io(event, &turns->source, turns->fd, EPOLLIN, on_turn, turns);
	if (r < 0) {
		(void)turns_free(turns);
		return r;
	}
	*ret = turns;
	return 0;
}

struct turns *turns_free(struct turns *turns)
{
	if (!turns)
		return NULL;
	sd_event_source_disable_unref(turns->source);
	closep(&turns->fd);
	free(turns);
	return NULL;
}

bool turns_are_free(const struct turns *turns)
{
	return TAILQ_EMPTY(&turns->brief.tenants) && TAILQ_EMPTY(&turns->lengthy.tenants);
}

static void set_due(struct turns *turns, bool due)
{
	uint64_t value;

	if (turns->due != due)
		(void)(due ? eventfd_write(turns->fd, 1) : eventfd_read(turns->fd, &value));
	turns->due = due;
}

static struct tenant *find_tenant(struct queue *queue, uid_t uid)
{
	struct tenant *tenant;

	LIST_FOREACH(tenant, &queue->buckets[uid % BUCKETS], in_bucket)
	if (tenant->uid == uid)
		return tenant;
	tenant = malloc(sizeof(*tenant));
	if (!tenant)
		return NULL;
	*tenant = (struct tenant){.queue = queue, .uid = uid};
	TAILQ_INIT(&tenant->waiting);
	TAILQ_INSERT_TAIL(&queue->tenants, tenant, entry);
	LIST_INSERT_HEAD(&queue->buckets[uid % BUCKETS], tenant, in_bucket);
	return tenant;
}

void turns_take(struct turns *turns, struct turn *turn, uid_t uid, bool is_long)
{
	if (turn->tenant)
		return;
	turn->tenant = find_tenant(is_long ? &turns->lengthy : &turns->brief, uid);
	if (!turn->tenant) {
		turn->serve(turn->userdata);
		return;
	}
	TAILQ_INSERT_TAIL(&turn->tenant->waiting, turn, entry);
	set_due(turns, true);
}

void turns_give_up(struct turn *turn)
{
	struct tenant *tenant = TAKE_PTR(turn->tenant);

	if (!tenant)
		return;
	TAILQ_REMOVE(&tenant->waiting, turn, entry);
	if (!TAILQ_EMPTY(&tenant->waiting))
		return;
	TAILQ_REMOVE(&tenant->queue->tenants, tenant, entry);
	LIST_REMOVE(tenant, in_bucket);
	free(tenant);
}

/* The uid whose turn it is comes last from now on. */
static struct turn *next_turn(struct queue *queue)
{
	struct tenant *tenant = TAILQ_FIRST(&queue->tenants);
	struct turn *turn = TAILQ_FIRST(&tenant->waiting);

	TAILQ_REMOVE(&queue->tenants, tenant, entry);
	TAILQ_INSERT_TAIL(&queue->tenants, tenant, entry);
	turns_give_up(turn);
	return turn;
}

static struct queue *choose_queue(struct turns *turns)
{
	if (TAILQ_EMPTY(&turns->lengthy.tenants))
		return TAILQ_EMPTY(&turns->brief.tenants) ? NULL : &turns->brief;
	if (TAILQ_EMPTY(&turns->brief.tenants) || turns->n_brief + 1 >= TURNS_SHARE) {
		turns->n_brief = 0;
		return &turns->lengthy;
	}
	turns->n_brief++;
	return &turns->brief;
}

static int on_turn(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct turns *turns = userdata;
	struct queue *queue = choose_queue(turns);
	struct turn *turn = queue ? next_turn(queue) : NULL;

	(void)source;
	(void)fd;
	(void)revents;
	set_due(turns, !turns_are_free(turns));
	if (turn)
		turn->serve(turn->userdata);
	return 0;
}
