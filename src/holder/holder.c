/* SPDX-License-Identifier: BSD-3-Clause */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
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

struct holder {
	struct item **items;
	size_t n;
};

struct holder *holder_new(void)
{
	return calloc(1, sizeof(struct holder));
}

static void item_free(struct item *item)
{
	sd_event_source_disable_unref(item->source);
	closep(&item->entry.fd);
	free((char *)item->entry.name);
	free(item);
}

struct holder *holder_free(struct holder *holder)
{
	if (!holder)
		return NULL;
	while (holder->n)
		item_free(holder->items[--holder->n]);
	free(holder->items);
	free(holder);
	return NULL;
}

static size_t find_item(const struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = 0;

	while (i < holder->n &&
		(holder->items[i]->entry.cookie != cookie || strcmp(holder->items[i]->entry.name, name)))
		i++;
	return i;
}

int holder_restore_consume(struct holder *holder, const char *name, uint64_t cookie, int fd_given, pid_t pid)
{
	_cleanup_close_ int fd = fd_given;
	_cleanup_free_ char *own_name = strdup(name);
	_cleanup_free_ struct item *item = calloc(1, sizeof(*item));

	if (!own_name || !item)
		return -ENOMEM;
	if (ARRAY_RESERVE(holder->items, holder->n) < 0)
		return -ENOMEM;
	item->entry = (struct holder_entry){
		.name = TAKE_PTR(own_name),
		.cookie = cookie,
		.fd = TAKE_FD(fd),
		.pid = pid,
	};
	holder->items[holder->n++] = TAKE_PTR(item);
	return 0;
}

int holder_dup(struct holder *holder, const char *name, uint64_t cookie, int fd, pid_t pid)
{
	size_t i = find_item(holder, name, cookie);
	int own, r;

	if (i < holder->n) {
		holder->items[i]->entry.pid = pid;
		return 0;
	}
	if (store_limit() && holder->n >= store_limit())
		return HOLDER_FULL;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	r = holder_restore_consume(holder, name, cookie, own, pid);
	if (r < 0)
		return r;
	r = store_put(name, cookie, fd);
	if (r < 0)
		(void)holder_drop(holder, name, cookie);
	return r;
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
	size_t i = find_item(holder, name, cookie);
	struct item *item;
	int r;

	if (i == holder->n || holder->items[i]->source)
		return 0;
	item = holder->items[i];
	item->on_hang_up = function;
	item->userdata = userdata;
	/* no events are requested: epoll_ctl(2) always reports errors and hang-ups */
	r = sd_event_add_io(event, &item->source, item->entry.fd, 0, on_hang_up, item);
	return r < 0 ? r : 0;
}

bool holder_drop(struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = find_item(holder, name, cookie);

	if (i == holder->n)
		return false;
	store_remove(name, cookie);
	item_free(holder->items[i]);
	memmove(&holder->items[i], &holder->items[i + 1], (--holder->n - i) * sizeof(struct item *));
	return true;
}

const struct holder_entry *holder_find(const struct holder *holder, const char *name, uint64_t cookie)
{
	size_t i = find_item(holder, name, cookie);

	return i < holder->n ? &holder->items[i]->entry : NULL;
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
