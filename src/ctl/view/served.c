/* SPDX-License-Identifier: BSD-3-Clause */
#include "served.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/errno_name.h"
#include "../../util/netns.h"
#include "../../util/text.h"
#include "../ask.h"
#include "../complain.h"

void served_deinit(struct served *served)
{
	for (size_t i = 0; i < served->n; i++)
		free(served->items[i].name);
	free(served->items);
	*served = SERVED_NULL;
}

int served_check_namespace(struct client *client, struct refusal *refusal)
{
	struct writer request;
	unsigned long inode, own;
	int r;

	client_begin(&request, REQUEST_STATUS);
	r = ask(client, &request, NULL, 0, NULL, NULL, refusal);
	if (r)
		return r;
	/* 0: the link of the broker is detached, so it serves no namespace */
	if (text_to_uint(ask_value(client, KEY_NETNS, "0"), ~0UL, &inode) < 0 || inode == 0)
		return 0;
	r = netns_read_inode(&own);
	if (r < 0)
		return refuse(refusal, -r, "cannot examine /proc/self/ns/net: %s (%s)", errno_text(-r),
			errno_name(-r));
	if (own == inode)
		return 0;
	return refuse(refusal, EXDEV,
		"the broker serves network namespace %lu, but usherctl runs in %lu (EXDEV); run it there: nsenter --net=/proc/%s/ns/net usherctl",
		inode, own, ask_value(client, KEY_PID, "PID"));
}

static int add_served_row(struct client *client, void *userdata)
{
	struct served *served = userdata;
	struct served_socket *item;

	if (ARRAY_RESERVE(served->items, served->n) < 0)
		return -ENOMEM;
	item = &served->items[served->n];
	item->name = strdup(ask_value(client, KEY_NAME, ""));
	if (!item->name)
		return -ENOMEM;
	item->cookie = strtoull(ask_value(client, KEY_COOKIE, "0"), NULL, 16);
	served->n++;
	return 0;
}

static int compare_served(const struct served_socket *socket, const char *name, uint64_t cookie)
{
	int order = strcmp(socket->name, name);

	if (order)
		return order;
	return socket->cookie < cookie ? -1 : socket->cookie > cookie;
}

static int compare_socket(const void *a, const void *b)
{
	const struct served_socket *other = b;

	return compare_served(a, other->name, other->cookie);
}

struct wanted {
	const char *name;
	uint64_t cookie;
};

static int compare_wanted_socket(const void *key, const void *socket)
{
	const struct wanted *wanted = key;

	return -compare_served(socket, wanted->name, wanted->cookie);
}

int served_read(struct client *client, struct served *served, struct refusal *refusal)
{
	struct writer request;
	int r;

	client_begin(&request, REQUEST_LIST);
	r = ask(client, &request, NULL, 0, add_served_row, served, refusal);
	if (r)
		return r;
	if (served->n)
		qsort(served->items, served->n, sizeof(*served->items), compare_socket);
	return 0;
}

/* The index of the first item that does not sort before (name, cookie) */
static size_t find_socket(const struct served *served, const char *name, uint64_t cookie)
{
	const struct wanted wanted = {name, cookie};

	return array_lower_bound(
		&wanted, served->items, served->n, sizeof(*served->items), compare_wanted_socket);
}

bool served_has(const struct served *served, const char *name, uint64_t cookie)
{
	size_t i = find_socket(served, name, cookie);

	return i < served->n && compare_served(&served->items[i], name, cookie) == 0;
}

bool served_knows(const struct served *served, const char *name)
{
	size_t i = find_socket(served, name, 0);

	return i < served->n && strcmp(served->items[i].name, name) == 0;
}
