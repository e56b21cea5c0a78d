/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../host/socket_owner.h"
#include "../host/vrf.h"

static void list_deinit(struct listener_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].owner.pid)
			process_close(&list->items[i].owner);
}

void host_view_deinit(struct host_view *host)
{
	for (size_t i = 0; i < PLACES_MAX; i++) {
		if (host->places[i].registrant.pid)
			process_close(&host->places[i].registrant);
		if (host->places[i].holder.pid)
			process_close(&host->places[i].holder);
	}
	list_deinit(&host->takers);
	list_deinit(&host->v6only);
	list_deinit(&host->mptcp);
	free(host->sockets);
	reach_deinit(&host->reach);
	host->sockets = NULL;
}

/* ---- listeners */

/* Sorted as the kernel prefers them. Those that do not fit on the list are counted. */
static void add_listener(struct listener_list *list, const struct diag_socket *socket, enum fit fit)
{
	size_t at;

	list->n_all++;
	if (list->n == LISTENERS_MAX && list->items[list->n - 1].fit <= fit)
		return;
	if (list->n == LISTENERS_MAX)
		list->n--;
	at = list->n;
	while (at && list->items[at - 1].fit > fit) {
		list->items[at] = list->items[at - 1];
		at--;
	}
	list->items[at] = (struct listener){.socket = socket, .fit = fit, .owner = PROCESS_NULL};
	list->n++;
}

static bool is_own_place(const struct explanation *explanation, const struct diag_socket *socket)
{
	for (size_t i = 0; i < explanation->n_places; i++)
		if (explanation->places[i].cookie == socket->cookie)
			return true;
	return false;
}

static void consider_listener(
	struct host_view *host, const struct asked *asked, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	if (socket->protocol != asked->protocol || socket->port != asked->port)
		return;
	if (family == asked->family && address_is_same(family, address, asked->local))
		add_listener(&host->takers, socket, LISTENER_EXACT);
	else if (!address_is_any(family, address))
		return;
	else if (family == asked->family)
		add_listener(&host->takers, socket, LISTENER_WILDCARD);
	else if (family == AF_INET6)
		add_listener(socket->v6only ? &host->v6only : &host->takers, socket, LISTENER_DUAL_STACK);
}

/* A socket at the very address comes first, then one that is bound to the device. */
static bool is_preferred(const struct listener *a, const struct listener *b)
{
	bool exact = a->fit == LISTENER_EXACT, bound = a->socket->interface != 0;

	if (exact != (b->fit == LISTENER_EXACT))
		return exact;
	if (bound != (b->socket->interface != 0))
		return bound;
	return a->fit < b->fit;
}

static const struct listener *find_taker(
	const struct host_view *host, bool (*fits)(const struct host_view *host, uint32_t device))
{
	const struct listener *best = NULL;

	for (size_t i = 0; i < host->takers.n; i++) {
		const struct listener *listener = &host->takers.items[i];

		if (fits(host, listener->socket->interface) && (!best || is_preferred(listener, best)))
			best = listener;
	}
	return best;
}

static bool takes(const struct host_view *host, uint32_t device)
{
	/* without a rule, the kernel also knows by which device of a VRF it came */
	return device ? device == host->ingress || device == host->device : !host->closed_to_vrf;
}

static bool may_take(const struct host_view *host, uint32_t device)
{
	return !host->ingress || takes(host, device);
}

const struct listener *host_view_taker(const struct host_view *host)
{
	return find_taker(host, takes);
}

const struct listener *host_view_bound_taker(const struct host_view *host)
{
	const struct listener *listener = find_taker(host, may_take);

	return listener && !host->ingress && listener->socket->interface ? listener : NULL;
}

/* ---- places */

static int look_at_own_place(
	struct host_view *host, const struct explained_place *place, struct place_seen *seen)
{
	struct refusal refusal;
	int r = 0;

	if (place->pid)
		r = process_open(place->pid, &seen->registrant, &refusal);
	if (r < 0)
		return r;
	seen->registrant_gone = r == PROCESS_GONE;
	for (size_t i = 0; i < host->n_sockets && !seen->socket; i++)
		if (host->sockets[i].cookie == place->cookie)
			seen->socket = &host->sockets[i];
	if (seen->socket)
		seen->n_group = diag_count_group(host->sockets, host->n_sockets, seen->socket);
	return 0;
}

/* ---- owners */

#define OWNED_MAX (3 * LISTENERS_MAX + PLACES_MAX)

struct owned {
	struct diag_socket sockets[OWNED_MAX];
	struct process *owners[OWNED_MAX];
	size_t n;
};

static void add_owned(struct owned *owned, const struct diag_socket *socket, struct process *owner)
{
	owned->sockets[owned->n] = *socket;
	owned->owners[owned->n++] = owner;
}

static void add_list(struct owned *owned, struct listener_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		add_owned(owned, list->items[i].socket, &list->items[i].owner);
}

/* One pass over the descriptors of all processes finds all owners. The broker does not count: it holds for others. */
static int find_owners(struct host_view *host, const struct explanation *explanation)
{
	struct process owners[OWNED_MAX];
	struct owned owned = {.n = 0};
	bool all;
	int r;

	add_list(&owned, &host->takers);
	add_list(&owned, &host->v6only);
	add_list(&owned, &host->mptcp);
	for (size_t i = 0; i < explanation->n_places; i++)
		if (host->places[i].socket)
			add_owned(&owned, host->places[i].socket, &host->places[i].holder);
	for (size_t i = 0; i < owned.n; i++)
		owners[i] = PROCESS_NULL;
	r = socket_owner_find(owned.sockets, owned.n, explanation->broker, owners, &all);
	for (size_t i = 0; i < owned.n; i++)
		*owned.owners[i] = owners[i];
	for (size_t i = 0; i < explanation->n_places; i++)
		host->places[i].holder_known = all;
	return r;
}

/* ---- the whole */

static bool is_missing(const struct explanation *explanation)
{
	return *explanation->name && explanation->verdict != VERDICT_DISPATCHED &&
	       explanation->verdict != VERDICT_YIELDED && !explanation->n_places;
}

static int look_at_sockets(
	const struct asked *asked, const struct explanation *explanation, struct host_view *host)
{
	bool missing = asked->protocol == IPPROTO_TCP && is_missing(explanation);
	uint16_t ports[PLACES_MAX + 1] = {asked->port};
	size_t n_ports = 1;
	int r;

	for (size_t i = 0; i < explanation->n_places; i++)
		if (explanation->places[i].family)
			ports[n_ports++] = explanation->places[i].port;
	r = diag_dump(asked->protocol, ports, missing ? 0 : n_ports, &host->sockets, &host->n_sockets,
		&host->sockets_unknown);
	if (r)
		return r < 0 ? r : 0;
	host->sockets_unknown.error = 0;
	for (size_t i = 0; i < host->n_sockets; i++) {
		const struct diag_socket *socket = &host->sockets[i];

		if (!is_own_place(explanation, socket))
			consider_listener(host, asked, socket);
		if (missing && socket->mptcp)
			add_listener(&host->mptcp, socket,
				socket->port == asked->port ? LISTENER_EXACT : LISTENER_WILDCARD);
	}
	return 0;
}

int host_view_read(const struct asked *asked, const struct explanation *explanation, struct host_view *ret)
{
	int r;

	*ret = (struct host_view){
		.device = asked->by_vrf ? asked->device : asked->ingress,
		.ingress = asked->ingress,
		.closed_to_vrf = asked->by_vrf && !vrf_is_open(asked->protocol),
	};
	for (size_t i = 0; i < PLACES_MAX; i++)
		ret->places[i] =
			(struct place_seen){.registrant = PROCESS_NULL, .holder = PROCESS_NULL, .n_group = 1};
	/* the routes and sockets of that namespace are not visible here */
	if (explanation->foreign_namespace)
		return 0;
	r = reach_read(asked, &ret->reach);
	if (!r)
		r = look_at_sockets(asked, explanation, ret);
	for (size_t i = 0; !r && i < explanation->n_places; i++)
		r = look_at_own_place(ret, &explanation->places[i], &ret->places[i]);
	return r ? r : find_owners(ret, explanation);
}
