/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>

#include "../../util/address.h"
#include "../host/route.h"

#define LOOPBACK 1 /* the index of lo, in every network namespace */

void doubt_add(struct doubt *doubt, unsigned causes, const char *what)
{
	if ((causes & CAUSE_OTHER) && !*doubt->what)
		(void)snprintf(doubt->what, sizeof(doubt->what), "%s", what ? what : "");
	doubt->causes |= causes & ~(unsigned)CAUSE_NOT_LOOPBACK;
}

static bool is_local(int family, const uint8_t *address)
{
	struct refusal refusal;
	enum route route;

	return !route_find(family, address, &route, &refusal) && route == ROUTE_LOCAL;
}

/* In a VRF or a bridge, the hooks see the packet with the upper device. */
static int find_device(struct probe *probe, uint32_t device, struct refusal *refusal)
{
	struct vrf_links links = VRF_LINKS_NULL;
	int r = vrf_read(&links, refusal);

	probe->device = device;
	for (size_t i = 0; i < links.n && !r; i++)
		if (links.items[i].device == device && links.items[i].master)
			probe->device = 0;
	vrf_deinit(&links);
	if (!probe->device)
		probe->device_causes = CAUSE_OTHER;
	else
		(void)if_indextoname(probe->device, probe->device_name);
	return r;
}

int probe_init(const struct probe_question *question, struct probe *ret, struct refusal *refusal)
{
	size_t size = address_size(question->family);

	*ret = (struct probe){
		.family = question->family,
		.protocol = question->protocol,
		.has_source = question->source,
		.has_destination = true,
		.source_port = question->source_port,
		.source_causes = question->source ? 0 : CAUSE_SOURCE,
		.port = question->port,
		.asked_port = question->port,
		.has_port = true,
		.mark = question->has_mark ? question->mark : 0,
	};
	memcpy(ret->destination, question->destination, size);
	memcpy(ret->asked_destination, question->destination, size);
	if (question->source)
		memcpy(ret->source, question->source, size);
	ret->own = question->device ? question->device == LOOPBACK
				    : question->source && is_local(question->family, question->source);
	if (ret->own)
		return find_device(ret, LOOPBACK, refusal);
	if (question->device)
		return find_device(ret, question->device, refusal);
	ret->device_causes = CAUSE_DEVICE | CAUSE_NOT_LOOPBACK;
	return 0;
}

/* ---- headers */

struct headers {
	uint8_t value[40], known[40];
	unsigned causes[40]; /* for the bits that are not known */
	size_t size;
};

static void put(struct headers *headers, size_t at, const void *value, size_t size, unsigned causes)
{
	memcpy(headers->value + at, value, size);
	for (size_t i = at; i < at + size; i++) {
		headers->known[i] = causes ? 0 : 0xff;
		headers->causes[i] = causes;
	}
}

static void put_bits(struct headers *headers, size_t at, uint8_t value, uint8_t known)
{
	headers->value[at] = value;
	headers->known[at] = known;
}

static void make_network(const struct probe *probe, struct headers *headers)
{
	unsigned destination = probe->has_destination ? 0 : CAUSE_OTHER;

	if (probe->family == AF_INET) {
		headers->size = sizeof(struct iphdr);
		put_bits(headers, 0, 0x45, 0xff);
		/* a whole packet: conntrack and the lookup see no fragments */
		put_bits(headers, offsetof(struct iphdr, frag_off), 0, 0xbf);
		put_bits(headers, offsetof(struct iphdr, frag_off) + 1, 0, 0xff);
		put_bits(headers, offsetof(struct iphdr, protocol), probe->protocol, 0xff);
		put(headers, offsetof(struct iphdr, saddr), probe->source, 4, probe->source_causes);
		put(headers, offsetof(struct iphdr, daddr), probe->destination, 4, destination);
	} else {
		headers->size = sizeof(struct ip6_hdr);
		put_bits(headers, 0, 0x60, 0xf0);
		put_bits(headers, offsetof(struct ip6_hdr, ip6_nxt), probe->protocol, 0xff);
		put(headers, offsetof(struct ip6_hdr, ip6_src), probe->source, 16, probe->source_causes);
		put(headers, offsetof(struct ip6_hdr, ip6_dst), probe->destination, 16, destination);
	}
}

static void make_transport(const struct probe *probe, struct headers *headers)
{
	uint16_t source = htons(probe->source_port), port = htons(probe->port);

	put(headers, 0, &source, 2, probe->source_causes);
	put(headers, 2, &port, 2, probe->has_port ? 0 : CAUSE_OTHER);
	if (probe->protocol == IPPROTO_UDP) {
		headers->size = sizeof(struct udphdr);
		return;
	}
	headers->size = sizeof(struct tcphdr);
	/* a SYN; those that ask for ECN have two bits more */
	put_bits(headers, 13, TH_SYN, 0x3f);
}

unsigned probe_load(const struct probe *probe, uint32_t base, uint32_t offset, uint32_t size, uint8_t *value,
	uint8_t *known)
{
	struct headers headers = {};
	unsigned causes = 0;

	for (size_t i = 0; i < sizeof(headers.causes) / sizeof(*headers.causes); i++)
		headers.causes[i] = CAUSE_OTHER;
	if (base == PROBE_NETWORK)
		make_network(probe, &headers);
	else if (base == PROBE_TRANSPORT)
		make_transport(probe, &headers);
	for (uint32_t i = 0; i < size; i++) {
		bool has = offset < headers.size && i < headers.size - offset;

		value[i] = has ? headers.value[offset + i] : 0;
		known[i] = has ? headers.known[offset + i] : 0;
		if (known[i] != 0xff)
			causes |= has ? headers.causes[offset + i] : (unsigned)CAUSE_OTHER;
	}
	return causes;
}

bool probe_is_loopback(const uint8_t *value, size_t size)
{
	static const uint32_t index = LOOPBACK;
	static const char name[] = "lo";

	return (size == sizeof(index) && !memcmp(value, &index, sizeof(index))) ||
	       (size >= sizeof(name) && !memcmp(value, name, sizeof(name)));
}

uint32_t probe_address_type(const struct probe *probe, bool source, unsigned *ret_causes)
{
	struct refusal refusal;
	enum route route;

	*ret_causes = source ? probe->source_causes : probe->has_destination ? 0 : CAUSE_OTHER;
	if (*ret_causes)
		return 0;
	if (route_find(probe->family, source ? probe->source : probe->destination, &route, &refusal))
		route = ROUTE_UNKNOWN;
	switch (route) {
	case ROUTE_LOCAL:
		return RTN_LOCAL;
	case ROUTE_BROADCAST:
		return RTN_BROADCAST;
	case ROUTE_MULTICAST:
		return RTN_MULTICAST;
	case ROUTE_ELSEWHERE:
		return RTN_UNICAST;
	default:
		*ret_causes = CAUSE_OTHER;
		return 0;
	}
}
