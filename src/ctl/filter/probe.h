/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A packet as packet filters see it: the first of a connection or of a flow, as far as it is known
 *
 * What is not known has a cause. Filters change it on its way.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../host/vrf.h"

/* Why a value is not known: nobody told, or this program does not look at it */
enum {
	CAUSE_SOURCE = 1 << 0, /* the source was not asked for */
	CAUSE_DEVICE = 1 << 1, /* the device was not asked for */
	CAUSE_OTHER = 1 << 2,
	/* beside CAUSE_DEVICE: it is the device of a packet from another host, so not the loopback device */
	CAUSE_NOT_LOOPBACK = 1 << 3,
};

/* Why something is not certain */
struct doubt {
	unsigned causes; /* 0: it is certain */
	char what[64];	 /* of CAUSE_OTHER: what was not looked at */
	uint64_t handle; /* of the rule on which it depends; 0: none */
	char chain[256]; /* and its chain */
};

void doubt_add(struct doubt *doubt, unsigned causes, const char *what);

/* What is asked */
struct probe_question {
	int family; /* AF_INET, AF_INET6 */
	uint8_t protocol;
	const uint8_t *destination, *source; /* 4 or 16 bytes; `source` NULL: not known */
	uint16_t port, source_port;	     /* `source_port` is known if `source` is */
	uint32_t device;		     /* 0: not known */
	bool has_mark;
	uint32_t mark;
};

struct probe {
	int family;
	uint8_t protocol;
	bool own;      /* of this host itself: it goes through the hook output first, and comes back by lo */
	bool outgoing; /* it is in the hooks output and postrouting */
	uint8_t source[16], destination[16], asked_destination[16];
	bool has_source, has_destination;
	uint16_t source_port, port, asked_port;
	bool has_port;
	unsigned source_causes;
	uint32_t device; /* 0: not known */
	char device_name[16];
	unsigned device_causes;
	uint32_t mark, connection_mark;
	struct doubt mark_doubt, connection_mark_doubt;
	bool tracked;	 /* it has met connection tracking */
	bool untracked;	 /* and was kept from it */
	bool translated; /* its destination was changed by NAT */
};

/* probe_init() - Return: 0, REFUSED (the devices cannot be listed), or -ENOMEM */
int probe_init(const struct probe_question *question, struct probe *ret, struct refusal *refusal);

enum { PROBE_NETWORK = 1, PROBE_TRANSPORT = 2 }; /* as NFT_PAYLOAD_*_HEADER */

/*
 * probe_load() - bytes of a header
 * @value, @known: @size bytes, at most 64
 *
 * Return: the causes for what is not known.
 */
unsigned probe_load(const struct probe *probe, uint32_t base, uint32_t offset, uint32_t size, uint8_t *value,
	uint8_t *known);

/* probe_is_loopback() - whether a value that is compared with a device is that of the loopback device: its index or name */
bool probe_is_loopback(const uint8_t *value, size_t size);

/* probe_address_type() - RTN_* of its source or destination; 0: not known, with the causes */
uint32_t probe_address_type(const struct probe *probe, bool source, unsigned *ret_causes);
