/* SPDX-License-Identifier: BSD-3-Clause */
#include "loading.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>

#include "../../util/address.h"
#include "sending.h"

static void load(struct evaluation *evaluation, uint32_t target, const void *value, size_t size)
{
	registers_store(&evaluation->registers, target, value, NULL, size, 0);
}

static void load_unknown(
	struct evaluation *evaluation, uint32_t target, size_t size, unsigned causes, const char *what)
{
	registers_forget(&evaluation->registers, target, size, causes, causes & CAUSE_OTHER ? what : NULL);
}

static void load_u32(struct evaluation *evaluation, uint32_t target, uint32_t value, unsigned causes)
{
	if (causes)
		load_unknown(evaluation, target, sizeof(value), causes, "a mark that a rule sets");
	else
		load(evaluation, target, &value, sizeof(value));
}

/* ---- payload */

void loading_payload(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t base = attributes_u32(attributes, NFTA_PAYLOAD_BASE, UINT32_MAX);
	uint32_t offset = attributes_u32(attributes, NFTA_PAYLOAD_OFFSET, 0);
	uint32_t size = attributes_u32(attributes, NFTA_PAYLOAD_LEN, 0);
	uint8_t value[REGISTERS_SIZE], known[REGISTERS_SIZE];
	unsigned causes;

	if (attributes->items[NFTA_PAYLOAD_SREG]) {
		sending_payload(
			evaluation, base, offset, size, attributes_u32(attributes, NFTA_PAYLOAD_SREG, 0));
		return;
	}
	if (size > sizeof(value))
		size = sizeof(value);
	causes = probe_load(evaluation->probe, base, offset, size, value, known);
	registers_store(&evaluation->registers, attributes_u32(attributes, NFTA_PAYLOAD_DREG, 0), value,
		known, size, causes);
	if (causes & CAUSE_OTHER)
		(void)snprintf(evaluation->registers.what, sizeof(evaluation->registers.what),
			"a field of a header");
}

/* ---- meta */

/* In the hooks output and postrouting, a packet has no device by which it comes, but one by which it leaves. */
static void load_device(struct evaluation *evaluation, uint32_t target, bool input, bool name)
{
	const struct probe *probe = evaluation->probe;
	uint32_t index = input != probe->outgoing ? probe->device : 0;
	char text[16] = "";

	if (input != probe->outgoing && !probe->device) {
		load_unknown(evaluation, target, name ? sizeof(text) : sizeof(index), probe->device_causes,
			"a device in a VRF or a bridge");
		return;
	}
	if (index)
		memcpy(text, probe->device_name, sizeof(text));
	if (name)
		load(evaluation, target, text, sizeof(text));
	else
		load(evaluation, target, &index, sizeof(index));
}

void loading_set_mark(struct evaluation *evaluation, uint32_t mark, unsigned causes)
{
	struct probe *probe = evaluation->probe;

	probe->mark = mark;
	probe->mark_doubt = (struct doubt){};
	if (causes)
		doubt_add(&probe->mark_doubt, causes, "a mark that a rule sets");
	else if (!evaluation->sure || evaluation->fit != BITS_YES)
		doubt_add(&probe->mark_doubt, CAUSE_OTHER, "a mark that a rule may set");
}

static void set_meta(struct evaluation *evaluation, uint32_t key, uint32_t source)
{
	uint32_t mark;
	size_t at;

	/* priorities, tracing and the like decide nothing here */
	if (key != NFT_META_MARK || !registers_at(source, sizeof(mark), &at))
		return;
	memcpy(&mark, evaluation->registers.value + at, sizeof(mark));
	loading_set_mark(evaluation, mark, registers_causes(&evaluation->registers, at, sizeof(mark)));
}

void loading_meta(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t key = attributes_u32(attributes, NFTA_META_KEY, UINT32_MAX);
	uint32_t target = attributes_u32(attributes, NFTA_META_DREG, 0);
	const struct probe *probe = evaluation->probe;
	uint8_t family = probe->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
	uint16_t type = htons(probe->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	const uint8_t to_host = 0; /* PACKET_HOST */

	if (attributes->items[NFTA_META_SREG]) {
		set_meta(evaluation, key, attributes_u32(attributes, NFTA_META_SREG, 0));
		return;
	}
	switch (key) {
	case NFT_META_NFPROTO:
		load(evaluation, target, &family, sizeof(family));
		break;
	case NFT_META_L4PROTO:
		load(evaluation, target, &probe->protocol, sizeof(probe->protocol));
		break;
	case NFT_META_PROTOCOL:
		load(evaluation, target, &type, sizeof(type));
		break;
	case NFT_META_MARK:
		load_u32(evaluation, target, probe->mark, probe->mark_doubt.causes);
		break;
	case NFT_META_IIF:
	case NFT_META_OIF:
		load_device(evaluation, target, key == NFT_META_IIF, false);
		break;
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
		load_device(evaluation, target, key == NFT_META_IIFNAME, true);
		break;
	case NFT_META_PKTTYPE:
		if (probe->own)
			load_unknown(evaluation, target, 1, CAUSE_OTHER, "meta pkttype");
		else
			load(evaluation, target, &to_host, sizeof(to_host));
		break;
	default:
		load_unknown(evaluation, target, 16, CAUSE_OTHER, "a key of meta");
	}
}

/* ---- connections */

/* In the hooks prerouting and output, connection tracking comes at a priority of its own. */
static bool is_tracked(const struct evaluation *evaluation)
{
	return !evaluation->base->ingress &&
	       ((evaluation->base->hook != NF_INET_PRE_ROUTING &&
			evaluation->base->hook != NF_INET_LOCAL_OUT) ||
		       evaluation->base->priority > NF_IP_PRI_CONNTRACK || evaluation->probe->tracked);
}

uint32_t loading_state(const struct evaluation *evaluation)
{
	if (evaluation->probe->untracked)
		return NF_CT_STATE_UNTRACKED_BIT;
	return is_tracked(evaluation) ? NF_CT_STATE_BIT(IP_CT_NEW) : NF_CT_STATE_INVALID_BIT;
}

static void set_connection(struct evaluation *evaluation, uint32_t key, uint32_t source)
{
	struct probe *probe = evaluation->probe;
	size_t at;

	if (key != NFT_CT_MARK || !registers_at(source, sizeof(uint32_t), &at))
		return;
	memcpy(&probe->connection_mark, evaluation->registers.value + at, sizeof(uint32_t));
	probe->connection_mark_doubt = (struct doubt){};
	if (registers_causes(&evaluation->registers, at, sizeof(uint32_t)) || !evaluation->sure ||
		evaluation->fit != BITS_YES)
		doubt_add(&probe->connection_mark_doubt, CAUSE_OTHER, "a mark that a rule may set");
}

static void load_connection(struct evaluation *evaluation, uint32_t key, bool reply, uint32_t target)
{
	const struct probe *probe = evaluation->probe;
	size_t size = address_size(probe->family);
	uint8_t family = probe->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
	uint16_t port;

	switch (key) {
	case NFT_CT_L3PROTOCOL:
		load(evaluation, target, &family, sizeof(family));
		return;
	case NFT_CT_PROTOCOL:
		load(evaluation, target, &probe->protocol, sizeof(probe->protocol));
		return;
	case NFT_CT_MARK:
		load_u32(evaluation, target, probe->connection_mark, probe->connection_mark_doubt.causes);
		return;
	case NFT_CT_STATUS:
		load_u32(evaluation, target, probe->translated ? IPS_DST_NAT | IPS_DST_NAT_DONE : 0,
			probe->translated ? 0 : CAUSE_OTHER);
		return;
	}
	/* the other direction has what NAT made of it */
	if (reply || ((key == NFT_CT_SRC || key == NFT_CT_SRC_IP || key == NFT_CT_SRC_IP6 ||
			      key == NFT_CT_PROTO_SRC) &&
			     probe->source_causes)) {
		load_unknown(evaluation, target, 16, reply ? (unsigned)CAUSE_OTHER : probe->source_causes,
			"a key of ct");
		return;
	}
	switch (key) {
	case NFT_CT_SRC:
	case NFT_CT_SRC_IP:
	case NFT_CT_SRC_IP6:
		load(evaluation, target, probe->source, size);
		return;
	case NFT_CT_DST:
	case NFT_CT_DST_IP:
	case NFT_CT_DST_IP6:
		load(evaluation, target, probe->asked_destination, size);
		return;
	case NFT_CT_PROTO_SRC:
	case NFT_CT_PROTO_DST:
		port = htons(key == NFT_CT_PROTO_SRC ? probe->source_port : probe->asked_port);
		load(evaluation, target, &port, sizeof(port));
		return;
	}
	load_unknown(evaluation, target, 16, CAUSE_OTHER, "a key of ct");
}

void loading_connection(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t key = attributes_u32(attributes, NFTA_CT_KEY, UINT32_MAX);
	uint32_t target = attributes_u32(attributes, NFTA_CT_DREG, 0);
	const struct nlattr *direction = attributes->items[NFTA_CT_DIRECTION];
	uint32_t state = loading_state(evaluation);
	const uint8_t original = 0;

	if (attributes->items[NFTA_CT_SREG])
		set_connection(evaluation, key, attributes_u32(attributes, NFTA_CT_SREG, 0));
	else if (key == NFT_CT_STATE)
		load(evaluation, target, &state, sizeof(state));
	else if (state != NF_CT_STATE_BIT(IP_CT_NEW)) /* without a connection, no other key fits anything */
		evaluation_fit(evaluation, BITS_NO, 0, NULL);
	else if (key == NFT_CT_DIRECTION)
		load(evaluation, target, &original, sizeof(original));
	else
		load_connection(evaluation, key,
			direction && mnl_attr_get_payload_len(direction) && mnl_attr_get_u8(direction),
			target);
}

/* ---- routes */

void loading_route(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t target = attributes_u32(attributes, NFTA_FIB_DREG, 0);
	uint32_t flags = attributes_u32(attributes, NFTA_FIB_FLAGS, 0);
	const struct probe *probe = evaluation->probe;
	bool source = flags & NFTA_FIB_F_SADDR;
	unsigned causes;
	uint32_t type = probe_address_type(probe, source, &causes);

	if (attributes_u32(attributes, NFTA_FIB_RESULT, 0) != NFT_FIB_RESULT_ADDRTYPE ||
		(flags & (NFTA_FIB_F_MARK | NFTA_FIB_F_IIF | NFTA_FIB_F_OIF))) {
		causes |= (flags & NFTA_FIB_F_IIF) && !probe->device ? probe->device_causes : 0;
		if (!causes)
			causes = CAUSE_OTHER;
	}
	if (causes)
		load_unknown(evaluation, target, 16, causes & ~(unsigned)CAUSE_NOT_LOOPBACK, "fib");
	else
		load(evaluation, target, &type, sizeof(type));
}

/* ---- arithmetic */

void loading_bitwise(struct evaluation *evaluation, const struct attributes *attributes)
{
	struct registers *registers = &evaluation->registers;
	uint32_t target = attributes_u32(attributes, NFTA_BITWISE_DREG, 0);
	size_t size = attributes_u32(attributes, NFTA_BITWISE_LEN, 0), at;
	uint8_t value[REGISTERS_SIZE], known[REGISTERS_SIZE];
	const uint8_t *mask, *flip;
	unsigned causes;

	if (size > sizeof(value) ||
		!registers_at(attributes_u32(attributes, NFTA_BITWISE_SREG, 0), size, &at))
		return;
	causes = registers_causes(registers, at, size);
	if (attributes_u32(attributes, NFTA_BITWISE_OP, NFT_BITWISE_BOOL) != NFT_BITWISE_BOOL ||
		attributes_data(attributes, NFTA_BITWISE_MASK, &mask) != size ||
		attributes_data(attributes, NFTA_BITWISE_XOR, &flip) != size) {
		load_unknown(evaluation, target, size, causes | CAUSE_OTHER, "a shift");
		return;
	}
	for (size_t i = 0; i < size; i++) {
		value[i] = (uint8_t)((registers->value[at + i] & mask[i]) ^ flip[i]);
		known[i] = registers->known[at + i] | (uint8_t)~mask[i];
	}
	/* no longer that of a device alone */
	registers_store(registers, target, value, known, size, causes & ~(unsigned)CAUSE_NOT_LOOPBACK);
}

/* The same in both directions: it swaps bytes, or does nothing. */
void loading_byteorder(struct evaluation *evaluation, const struct attributes *attributes)
{
	struct registers *registers = &evaluation->registers;
	size_t size = attributes_u32(attributes, NFTA_BYTEORDER_LEN, 0), at;
	size_t unit = attributes_u32(attributes, NFTA_BYTEORDER_SIZE, 0);
	uint8_t value[REGISTERS_SIZE], known[REGISTERS_SIZE];

	if (size > sizeof(value) || !unit || unit > size || size % unit ||
		!registers_at(attributes_u32(attributes, NFTA_BYTEORDER_SREG, 0), size, &at))
		return;
	for (size_t i = 0; i < size; i++) {
		size_t from = BYTE_ORDER == LITTLE_ENDIAN ? i - i % unit + (unit - 1 - i % unit) : i;

		value[i] = registers->value[at + from];
		known[i] = registers->known[at + from];
	}
	registers_store(registers, attributes_u32(attributes, NFTA_BYTEORDER_DREG, 0), value, known, size,
		registers_causes(registers, at, size) & ~(unsigned)CAUSE_NOT_LOOPBACK);
}
