/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookout_diag.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../scan/diag.h"
#include "../util/array.h"

/* As long as each finds more; the kernel may leave one out while others come and go. */
#define DUMPS_MAX 4

#define V6 2U /* of a table's number */

struct look {
	const struct obstacles *obstacles;
	const struct lookout_ports *ports;
	struct obstacles_record *known; /* what was counted before, of these ports */
	size_t n_known;
	struct obstacles_record *noted; /* in this look */
	size_t n_noted;
	uint32_t *lost; /* ports that yield because something is not counted */
	size_t n_lost;
	bool changed;
};

void lookout_ports_add(struct lookout_ports *ports, int protocol, uint16_t port)
{
	for (size_t i = 0; i < ports->n; i++)
		if (ports->items[i].protocol == protocol && ports->items[i].port == port)
			return;
	if (!port || ports->n == LOOKOUT_PORTS_MAX) {
		*ports = (struct lookout_ports){.all = true};
	} else if (!ports->all) {
		ports->items[ports->n].protocol = (uint8_t)protocol;
		ports->items[ports->n++].port = port;
	}
}

static bool is_looked_at(const struct lookout_ports *ports, uint32_t where)
{
	const uint8_t protocol = where >> 16 & 1 ? IPPROTO_UDP : IPPROTO_TCP;

	for (size_t i = 0; i < ports->n; i++)
		if (ports->items[i].protocol == protocol && ports->items[i].port == (uint16_t)where)
			return true;
	return ports->all;
}

static bool is_tracked(const struct obstacles *obstacles, const struct usher_obstacle *obstacle)
{
	const uint32_t where = obstacle->tuple.where;

	return obstacles_is_tracked(obstacles, where) ||
	       (obstacle->flags & USHER_OBSTACLE_BOTH &&
		       obstacles_is_tracked(obstacles, where & ~(V6 << 16)));
}

/* As the hooks would count it, if they could see all of it */
static struct usher_obstacle describe(const struct diag_socket *socket)
{
	const uint8_t *address;
	const uint32_t v6 = diag_address(socket, &address) == AF_INET6 ? V6 : 0;
	const uint32_t table = v6 | (socket->protocol == IPPROTO_UDP);
	struct usher_obstacle obstacle = {
		.tuple = {.where = table << 16 | socket->port, .device = socket->interface}};

	memcpy(obstacle.tuple.address, address, v6 ? 16 : 4);
	if (v6 && !socket->v6only && !obstacle.tuple.address[0] && !obstacle.tuple.address[1])
		obstacle.flags = USHER_OBSTACLE_BOTH;
	return obstacle;
}

static int compare_cookie(const void *cookie, const void *record)
{
	const uint64_t x = *(const uint64_t *)cookie, y = ((const struct obstacles_record *)record)->cookie;

	return (x > y) - (x < y);
}

/* There is no room for another one: the port goes on to yield. */
static void stay_lost(struct look *look, uint32_t where)
{
	for (size_t i = 0; i < look->n_lost; i++)
		if (look->lost[i] == where)
			look->lost[i--] = look->lost[--look->n_lost];
}

static int note(struct look *look, uint64_t cookie, const struct usher_obstacle *obstacle)
{
	int r = obstacles_note(look->obstacles, cookie, obstacle);

	if (r == -EEXIST)
		return 0;
	if (r < 0) {
		stay_lost(look, obstacle->tuple.where);
		if (obstacle->flags & USHER_OBSTACLE_BOTH)
			stay_lost(look, obstacle->tuple.where & ~(V6 << 16));
		return 0;
	}
	look->changed = true;
	if (ARRAY_RESERVE(look->noted, look->n_noted) < 0)
		return -ENOMEM;
	look->noted[look->n_noted++] = (struct obstacles_record){cookie, *obstacle};
	return 1;
}

/* Return: 1 if it was not known, 0, or -ENOMEM */
static int compare(struct look *look, const struct diag_socket *socket)
{
	const struct usher_obstacle obstacle = describe(socket);
	struct obstacles_record *known;

	if (!is_looked_at(look->ports, obstacle.tuple.where) || !is_tracked(look->obstacles, &obstacle))
		return 0;
	known = look->n_known ? bsearch(&socket->cookie, look->known, look->n_known, sizeof(*look->known),
					compare_cookie)
			      : NULL;
	if (!known)
		return note(look, socket->cookie, &obstacle);
	if (memcmp(&known->obstacle, &obstacle, sizeof(obstacle)) == 0)
		return 0;
	look->changed = true;
	if (obstacles_amend(look->obstacles, socket->cookie, &obstacle) == 0)
		known->obstacle = obstacle;
	return 0;
}

static uint8_t common_protocol(const struct look *look)
{
	const struct lookout_ports *ports = look->ports;

	for (size_t i = 0; i < ports->n; i++)
		if (ports->items[i].protocol != ports->items[0].protocol)
			return 0;
	return ports->n ? ports->items[0].protocol : 0;
}

static int dump(const struct look *look, struct diag_socket **ret, size_t *ret_n, struct refusal *refusal)
{
	uint16_t ports[LOOKOUT_PORTS_MAX];

	for (size_t i = 0; i < look->ports->n; i++)
		ports[i] = look->ports->items[i].port;
	return diag_dump(
		common_protocol(look), ports, look->ports->all ? 0 : look->ports->n, ret, ret_n, refusal);
}

static bool is_there(const struct diag_socket *sockets, size_t n, uint64_t cookie)
{
	for (size_t i = 0; i < n; i++)
		if (sockets[i].cookie == cookie)
			return true;
	return false;
}

static int compare_sockets(const void *a, const void *b)
{
	const uint64_t x = ((const struct diag_socket *)a)->cookie,
		       y = ((const struct diag_socket *)b)->cookie;

	return (x > y) - (x < y);
}

static bool is_among(const struct diag_socket *sorted, size_t n, uint64_t cookie)
{
	const struct diag_socket key = {.cookie = cookie};

	return n && bsearch(&key, sorted, n, sizeof(key), compare_sockets);
}

/* Where the records are that the last dump does not show. Return: how many of them there are. */
static size_t find_absent(const struct obstacles_record *records, size_t n, const struct diag_socket *sorted,
	size_t n_sorted, struct lookout_ports *ports)
{
	size_t absent = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t where = records[i].obstacle.tuple.where;

		if (is_among(sorted, n_sorted, records[i].cookie))
			continue;
		lookout_ports_add(ports, where >> 16 & 1 ? IPPROTO_UDP : IPPROTO_TCP, (uint16_t)where);
		absent++;
	}
	return absent;
}

static void forget_absent(struct look *look, const struct obstacles_record *records, size_t n,
	const struct diag_socket *before, size_t n_before, const struct diag_socket *now, size_t n_now)
{
	for (size_t i = 0; i < n; i++)
		if (!is_among(before, n_before, records[i].cookie) &&
			!is_there(now, n_now, records[i].cookie) &&
			obstacles_forget(look->obstacles, records[i].cookie) == 0)
			look->changed = true;
}

/*
 * A dump of all ports may leave a socket out while others come and go, so it is asked for again by its port, before it is
 * forgotten: that fits into one datagram.
 */
static int forget_gone(struct look *look, struct diag_socket *last, size_t n_last, struct refusal *refusal)
{
	struct lookout_ports ports = {.n = 0};
	_cleanup_free_ struct diag_socket *again = NULL;
	struct look second = {.ports = &ports};
	size_t n_again = 0, absent;
	int r;

	if (n_last)
		qsort(last, n_last, sizeof(*last), compare_sockets);
	absent = find_absent(look->known, look->n_known, last, n_last, &ports);
	absent += find_absent(look->noted, look->n_noted, last, n_last, &ports);
	if (!absent)
		return 0;
	r = dump(&second, &again, &n_again, refusal);
	if (r)
		return r;
	forget_absent(look, look->known, look->n_known, last, n_last, again, n_again);
	forget_absent(look, look->noted, look->n_noted, last, n_last, again, n_again);
	return 0;
}

static int look_often(struct look *look, struct refusal *refusal)
{
	_cleanup_free_ struct diag_socket *sockets = NULL;
	size_t n = 0;
	int r = 0;

	for (int i = 0; i < DUMPS_MAX; i++) {
		bool more = false;

		free(TAKE_PTR(sockets));
		r = dump(look, &sockets, &n, refusal);
		if (r)
			return r;
		for (size_t k = 0; k < n; k++) {
			r = compare(look, &sockets[k]);
			if (r < 0)
				return r;
			more = more || r;
		}
		if (!more)
			break;
	}
	return forget_gone(look, sockets, n, refusal);
}

/* What is counted on these ports, before anybody looks: what comes later is not absent. */
static int read_known(struct look *look)
{
	size_t n, kept = 0;
	int r = obstacles_read(look->obstacles, &look->known, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (is_looked_at(look->ports, look->known[i].obstacle.tuple.where))
			look->known[kept++] = look->known[i];
	look->n_known = kept;
	return 0;
}

static int add_lost(struct look *look, uint32_t where)
{
	if (!obstacles_lost(look->obstacles, where))
		return 0;
	if (ARRAY_RESERVE(look->lost, look->n_lost) < 0)
		return -ENOMEM;
	look->lost[look->n_lost++] = where;
	obstacles_expect_all(look->obstacles, where);
	return 0;
}

/* Before the first dump: what is not counted from here on shows. */
static int prepare_ports(struct look *look)
{
	const struct lookout_ports *ports = look->ports;
	int r = 0;

	for (uint32_t where = 0;
		ports->all && !r &&
		(where = obstacles_next_lost(look->obstacles, where)) < USHER_TABLES * USHER_PORTS;
		where++)
		r = add_lost(look, where);
	for (size_t i = 0; i < ports->n && !r; i++) {
		uint32_t where = (ports->items[i].protocol == IPPROTO_UDP) << 16 | ports->items[i].port;

		r = add_lost(look, where);
		if (!r)
			r = add_lost(look, V6 << 16 | where);
		obstacles_want(look->obstacles, ports->items[i].protocol, ports->items[i].port);
	}
	if (ports->all)
		obstacles_want(look->obstacles, 0, 0);
	return r;
}

int lookout_look(const struct obstacles *obstacles, const struct lookout_ports *ports, bool *ret_changed,
	struct refusal *refusal)
{
	struct look look = {.obstacles = obstacles, .ports = ports};
	int r = read_known(&look);

	if (!r)
		r = prepare_ports(&look);
	if (!r)
		r = look_often(&look, refusal);
	for (size_t i = 0; i < look.n_lost && !r; i++)
		obstacles_regain(obstacles, look.lost[i]);
	*ret_changed = look.changed;
	free(look.known);
	free(look.noted);
	free(look.lost);
	return r;
}
