/* SPDX-License-Identifier: BSD-3-Clause */
#include "holder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/array.h"
#include "../util/macro.h"
#include "store.h"

/* On the heap, because its watch points to it */
struct item {
	struct holder_entry entry;
	sd_event_source *source;
	void (*on_hang_up)(const char *name, uint64_t cookie, void *userdata);
	void *userdata;
};

/* Dropped, and waits until the service manager has dropped it as well. */
struct leaver {
	struct holder *holder;
	struct leaver *next;
	int fd, barrier;
	sd_event_source *source;
};

struct holder {
	sd_event *event;     /* borrowed */
	struct item **items; /* in the order in which they came */
	struct item **by_cookie;
	size_t n;
	struct leaver *leavers;
	void (*close)(int fd, void *userdata);
	void *userdata;
};

struct holder *holder_new(sd_event *event, void (*close)(int fd, void *userdata), void *userdata)
{
	struct holder *holder = calloc(1, sizeof(*holder));

	if (holder)
		*holder = (struct holder){.event = event, .close = close, .userdata = userdata};
	return holder;
}

/* ---- the last one to close a socket waits for SO_LINGER: not the service manager */

static void leaver_free(struct leaver *leaver)
{
	struct leaver **at = &leaver->holder->leavers;

	while (*at != leaver)
		at = &(*at)->next;
	*at = leaver->next;
	sd_event_source_disable_unref(leaver->source);
	closep(&leaver->barrier);
	leaver->holder->close(leaver->fd, leaver->holder->userdata);
	free(leaver);
}

static int on_barrier(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	leaver_free(userdata);
	return 0;
}

static void close_after_store(struct holder *holder, int fd)
{
	struct leaver *leaver;
	int barrier = store_barrier();

	leaver = barrier < 0 ? NULL : calloc(1, sizeof(*leaver));
	if (!leaver) {
		closep(&barrier);
		holder->close(fd, holder->userdata);
		return;
	}
	*leaver = (struct leaver){.holder = holder, .next = holder->leavers, .fd = fd, .barrier = barrier};
	holder->leavers = leaver;
	/* the other end hangs up when the service manager has come so far */
	if (sd_event_add_io(holder->event, &leaver->source, barrier, 0, on_barrier, leaver) < 0)
		leaver_free(leaver);
}

/*
 * Free the item. Its event source goes before its descriptor: a socket that others have open too stays in the epoll set
 * when this copy is closed, and what happens to it is reported to a source that is gone.
 *
 * Return: its descriptor, for the caller to close.
 */
static int item_steal(struct item *item)
{
	int fd = item->entry.fd;

	sd_event_source_disable_unref(item->source);
	free((char *)item->entry.name);
	free(item);
	return fd;
}

struct holder *holder_free(struct holder *holder)
{
	if (!holder)
		return NULL;
	while (holder->leavers)
		leaver_free(holder->leavers);
	while (holder->n) {
		struct item *item = holder->items[--holder->n];

		holder->close(item_steal(item), holder->userdata);
	}
	free(holder->items);
	free(holder->by_cookie);
	free(holder);
	return NULL;
}

static int compare_cookie(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key, b = (*(struct item *const *)item)->entry.cookie;

	return (a > b) - (a < b);
}

/* In `by_cookie`, where one and the same socket may be under several names. */
static size_t find_cookie(const struct holder *holder, uint64_t cookie)
{
	return array_lower_bound(
		&cookie, holder->by_cookie, holder->n, sizeof(struct item *), compare_cookie);
}

static struct item *find_item(const struct holder *holder, const char *name, uint64_t cookie)
{
	for (size_t i = find_cookie(holder, cookie);
		i < holder->n && holder->by_cookie[i]->entry.cookie == cookie; i++)
		if (!strcmp(holder->by_cookie[i]->entry.name, name))
			return holder->by_cookie[i];
	return NULL;
}

static void insert(struct item **items, size_t n, size_t at, struct item *item)
{
	memmove(&items[at + 1], &items[at], (n - at) * sizeof(*items));
	items[at] = item;
}

static void take_out(struct item **items, size_t n, const struct item *item)
{
	size_t i = 0;

	while (items[i] != item)
		i++;
	memmove(&items[i], &items[i + 1], (n - i - 1) * sizeof(*items));
}

int holder_restore_consume(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid)
{
	_cleanup_free_ char *own_name = strdup(name);
	_cleanup_free_ struct item *item = calloc(1, sizeof(*item));

	if (!own_name || !item || ARRAY_RESERVE(holder->items, holder->n) < 0 ||
		ARRAY_RESERVE(holder->by_cookie, holder->n) < 0) {
		holder->close(fd, holder->userdata);
		return -ENOMEM;
	}
	item->entry = (struct holder_entry){
		.name = TAKE_PTR(own_name),
		.cookie = cookie,
		.fd = fd,
		.pid = pid,
	};
	insert(holder->by_cookie, holder->n, find_cookie(holder, cookie), item);
	holder->items[holder->n++] = TAKE_PTR(item);
	return 0;
}

bool holder_has_room(const struct holder *holder, size_t n)
{
	return !n || !store_limit() || holder->n + n <= store_limit();
}

int holder_hold_consume(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid)
{
	struct item *item = find_item(holder, name, cookie);
	int r;

	if (item) {
		holder->close(fd, holder->userdata);
		item->entry.pid = pid;
		return 0;
	}
	r = holder_restore_consume(holder, name, cookie, fd, pid);
	if (r < 0)
		return r;
	r = store_put(name, cookie, fd);
	if (r < 0)
		(void)holder_drop(holder, name, cookie);
	return r;
}

void holder_assign(struct holder *holder, const char *name, uint64_t cookie, pid_t pid)
{
	struct item *item = find_item(holder, name, cookie);

	if (item)
		item->entry.pid = pid;
}

static int on_hang_up(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	const struct item *item = userdata;

	(void)fd;
	(void)revents;
	/* the condition persists: if the function keeps the socket, it must not be reported again */
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	item->on_hang_up(item->entry.name, item->entry.cookie, item->userdata);
	return 0;
}

int holder_watch(struct holder *holder, sd_event *event, const char *name, uint64_t cookie,
	void (*function)(const char *name, uint64_t cookie, void *userdata), void *userdata)
{
	struct item *item = find_item(holder, name, cookie);
	int r;

	if (!item || item->source)
		return 0;
	item->on_hang_up = function;
	item->userdata = userdata;
	/* no events are requested: epoll_ctl(2) always reports errors and hang-ups */
	r = sd_event_add_io(event, &item->source, item->entry.fd, 0, on_hang_up, item);
	return r < 0 ? r : 0;
}

bool holder_drop(struct holder *holder, const char *name, uint64_t cookie)
{
	struct item *item = find_item(holder, name, cookie);

	if (!item)
		return false;
	store_remove(name, cookie);
	take_out(holder->items, holder->n, item);
	take_out(holder->by_cookie, holder->n--, item);
	close_after_store(holder, item_steal(item));
	return true;
}

const struct holder_entry *holder_find(const struct holder *holder, const char *name, uint64_t cookie)
{
	const struct item *item = find_item(holder, name, cookie);

	return item ? &item->entry : NULL;
}

const struct holder_entry *holder_get(const struct holder *holder, size_t index)
{
	return &holder->items[index]->entry;
}

size_t holder_count(const struct holder *holder)
{
	return holder->n;
}

void holder_adopt(struct holder *holder, size_t index, pid_t pid)
{
	holder->items[index]->entry.pid = pid;
}

void holder_orphan(struct holder *holder, pid_t pid)
{
	for (size_t i = 0; i < holder->n; i++)
		if (holder->items[i]->entry.pid == pid)
			holder->items[i]->entry.pid = 0;
}
