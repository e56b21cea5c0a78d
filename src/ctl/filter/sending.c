/* SPDX-License-Identifier: BSD-3-Clause */
#include "sending.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <string.h>

#include "../../util/address.h"

/* ---- where to */

/* Starts with the destination that it has */
static void begin(struct evaluation *evaluation)
{
	const struct probe *probe = evaluation->probe;

	evaluation->end = EVALUATION_SENT;
	evaluation->sent = (struct sent){
		.address_known = probe->has_destination, .port_known = probe->has_port, .port = probe->port};
	memcpy(evaluation->sent.address, probe->destination, sizeof(evaluation->sent.address));
}

static void set_address(struct evaluation *evaluation, const uint8_t *address)
{
	memset(evaluation->sent.address, 0, sizeof(evaluation->sent.address));
	memcpy(evaluation->sent.address, address, address_size(evaluation->probe->family));
	evaluation->sent.address_known = true;
}

static void set_port(struct evaluation *evaluation, uint16_t port)
{
	evaluation->sent.port = ntohs(port);
	evaluation->sent.port_known = true;
}

void sending_to(struct evaluation *evaluation, const uint8_t *address, const uint16_t *port)
{
	begin(evaluation);
	if (address)
		set_address(evaluation, address);
	if (port)
		set_port(evaluation, *port);
}

/* The first address of the device is the one that the kernel takes. For IPv6 that holds if there is one. */
static bool find_address(const struct probe *probe, uint8_t address[static 16])
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (!probe->device || getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *item = all; item; item = item->ifa_next) {
		const struct sockaddr *socket = item->ifa_addr;
		const struct in6_addr *six = &((const struct sockaddr_in6 *)socket)->sin6_addr;

		if (!socket || socket->sa_family != probe->family ||
			strcmp(item->ifa_name, probe->device_name) != 0)
			continue;
		if (probe->family == AF_INET && !n++)
			memcpy(address, &((const struct sockaddr_in *)socket)->sin_addr, 4);
		if (probe->family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(six) && !n++)
			memcpy(address, six, 16);
	}
	freeifaddrs(all);
	return probe->family == AF_INET ? n > 0 : n == 1;
}

void sending_to_device(struct evaluation *evaluation, const uint16_t *port)
{
	static const uint8_t loopback[2][16] = {{127, 0, 0, 1}, {[15] = 1}};
	uint8_t address[16] = {0};
	bool known = true;

	if (evaluation->probe->own)
		memcpy(address, loopback[evaluation->probe->family == AF_INET6], sizeof(address));
	else
		known = find_address(evaluation->probe, address);
	sending_to(evaluation, address, port);
	evaluation->sent.address_known = known;
	evaluation->sent.of_device = true;
}

/* ---- expressions */

/* A number of bytes in a register; Return: NULL when they are not known, or there is no such register */
static const uint8_t *get(
	const struct evaluation *evaluation, const struct attributes *attributes, unsigned type, size_t size)
{
	const struct registers *registers = &evaluation->registers;
	size_t at;

	if (!registers_at(attributes_u32(attributes, type, 0), size, &at) ||
		registers_causes(registers, at, size))
		return NULL;
	return registers->value + at;
}

/*
 * The value that a range from one register to another has if both are the same. A port or an address of several is not
 * known.
 */
static const uint8_t *get_single(const struct evaluation *evaluation, const struct attributes *attributes,
	unsigned min, unsigned max, size_t size)
{
	const uint8_t *first = get(evaluation, attributes, min, size), *last = first;

	if (attributes->items[max])
		last = get(evaluation, attributes, max, size);
	return first && last && !memcmp(first, last, size) ? first : NULL;
}

static void take_port(struct evaluation *evaluation, const struct attributes *attributes, unsigned min,
	unsigned max, uint32_t flags)
{
	const uint8_t *data = get_single(evaluation, attributes, min, max, sizeof(uint16_t));
	uint16_t port;

	if (!attributes->items[min])
		return;
	evaluation->sent.port_known = data && !(flags & NF_NAT_RANGE_PROTO_OFFSET);
	if (!data)
		return;
	memcpy(&port, data, sizeof(port));
	evaluation->sent.port = ntohs(port);
}

void sending_nat(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t flags = attributes_u32(attributes, NFTA_NAT_FLAGS, 0);
	const uint8_t *address;

	/* a new source decides nothing here, but ends the chain like any NAT */
	if (attributes_u32(attributes, NFTA_NAT_TYPE, NFT_NAT_SNAT) != NFT_NAT_DNAT) {
		evaluation->verdict = (struct ruleset_verdict){.code = 1 /* NF_ACCEPT */};
		evaluation->end = EVALUATION_VERDICT;
		return;
	}
	begin(evaluation);
	if (attributes->items[NFTA_NAT_REG_ADDR_MIN]) {
		address = get_single(evaluation, attributes, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_ADDR_MAX,
			address_size(evaluation->probe->family));
		evaluation->sent.address_known = false;
		if (address && !(flags & NF_NAT_RANGE_NETMAP))
			set_address(evaluation, address);
	}
	take_port(evaluation, attributes, NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX, flags);
}

void sending_redirect(struct evaluation *evaluation, const struct attributes *attributes)
{
	sending_to_device(evaluation, NULL);
	take_port(evaluation, attributes, NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX,
		attributes_u32(attributes, NFTA_REDIR_FLAGS, 0));
}

void sending_tproxy(struct evaluation *evaluation, const struct attributes *attributes)
{
	const uint8_t *address;

	begin(evaluation);
	evaluation->end = EVALUATION_SOCKET;
	if (attributes->items[NFTA_TPROXY_REG_ADDR]) {
		address = get(evaluation, attributes, NFTA_TPROXY_REG_ADDR,
			address_size(evaluation->probe->family));
		evaluation->sent.address_known = address;
		if (address)
			set_address(evaluation, address);
	}
	take_port(evaluation, attributes, NFTA_TPROXY_REG_PORT, NFTA_TPROXY_REG_PORT, 0);
}

void sending_payload(
	struct evaluation *evaluation, uint32_t base, uint32_t offset, uint32_t size, uint32_t source)
{
	bool four = evaluation->probe->family == AF_INET, known;
	uint32_t sources = four ? 12 : 8, length = four ? 4 : 16;
	uint16_t port;
	size_t at;

	if (size > length || !registers_at(source, size, &at))
		return;
	known = !registers_causes(&evaluation->registers, at, size);
	if (base == NFT_PAYLOAD_NETWORK_HEADER && offset == sources + length && size == length) {
		sending_to(evaluation, evaluation->registers.value + at, NULL);
		evaluation->sent.address_known = known;
	} else if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && size == sizeof(port)) {
		memcpy(&port, evaluation->registers.value + at, sizeof(port));
		sending_to(evaluation, NULL, &port);
		evaluation->sent.port_known = known;
	} else if ((base == NFT_PAYLOAD_NETWORK_HEADER && offset < sources + 2 * length &&
			   offset + size > sources) ||
		   (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset < 4)) {
		/* another source, or a part of an address */
		evaluation->probe->source_causes = CAUSE_OTHER;
	}
}
