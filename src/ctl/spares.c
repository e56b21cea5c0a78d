/* SPDX-License-Identifier: BSD-3-Clause */
#include "spares.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/transport.h"
#include "complain.h"

struct bound {
	struct sockaddr_storage address;
	socklen_t size;
	int protocol;
};

static bool read_bound(int fd, struct bound *ret)
{
	int type;
	socklen_t size = sizeof(type);

	*ret = (struct bound){.size = sizeof(ret->address)};
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		getsockname(fd, (struct sockaddr *)&ret->address, &ret->size) < 0)
		return false;
	ret->protocol = type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	return true;
}

static bool is_same_transport(const struct bound *a, const struct bound *b)
{
	return a->protocol == b->protocol && a->address.ss_family == b->address.ss_family;
}

/* Those at one address are a reuseport group, and serve together. */
static bool is_same_address(const struct bound *a, const struct bound *b)
{
	return a->size == b->size && memcmp(&a->address, &b->address, a->size) == 0;
}

/* Of one name, protocol and family: the first offer counts all of them. Return: 0 for the others. */
static size_t count_addresses(const struct passed *passed, size_t first, const struct bound *bound)
{
	const struct passed_offer *offers = passed->offers;
	size_t n = 1;

	for (size_t i = 0; i < passed->n_offers; i++) {
		struct bound other, before;
		bool seen = false;

		if (i == first || strcmp(offers[i].name, offers[first].name) != 0 ||
			!read_bound(offers[i].fd->fd, &other) || !is_same_transport(&other, bound))
			continue;
		if (i < first)
			return 0;
		for (size_t j = first; j < i && !seen; j++)
			seen = strcmp(offers[j].name, offers[i].name) == 0 &&
			       read_bound(offers[j].fd->fd, &before) && is_same_address(&before, &other);
		n += !seen;
	}
	return n;
}

void spares_complain(const struct passed *passed)
{
	for (size_t i = 0; i < passed->n_offers; i++) {
		const struct passed_offer *offer = &passed->offers[i];
		struct bound bound;
		size_t n = read_bound(offer->fd->fd, &bound) ? count_addresses(passed, i, &bound) : 0;

		if (n < 2)
			continue;
		complain(
			"'%s' has sockets at %zu addresses for %s: one serves, the others only stand by; one %s= line of the socket unit is enough, the rule says to which addresses and ports it applies",
			offer->name, n, transport_name(bound.protocol, bound.address.ss_family),
			bound.protocol == IPPROTO_UDP ? "ListenDatagram" : "ListenStream");
	}
}
