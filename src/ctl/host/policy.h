/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The routing rules of this network namespace (ip-rule(8)), and whether an address is local for every packet to it
 *
 * RTM_GETROUTE answers for one packet. A rule may ask for what nobody told: a mark that the firewall sets, the device by
 * which the packet comes, its source. Here such a rule may fit, and both outcomes are kept.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/error.h"
#include "routing.h"

#define POLICY_RULE_TEXT_MAX 320

struct policy_rule {
	uint32_t priority, table, target; /* `target` of goto */
	uint8_t action;			  /* FR_ACT_* */
	struct prefix from, to;		  /* AF_UNSPEC: any */
	char input[16], output[16];	  /* devices; "": any */
	uint32_t mark, mask;
	uint8_t protocol;		    /* 0: any */
	uint16_t ports[2], source_ports[2]; /* first and last; 0: any */
	int suppress_length;		    /* -1: none */
	bool has_mark, vrf, inverted, more; /* `more`: it asks for something else as well */
};

struct policy {
	struct policy_rule *rules; /* in the order of the kernel */
	size_t n_rules;
};

#define POLICY_NULL ((struct policy){})

/* policy_read() - of one family; @ret: to be released on any result. Return: 0, REFUSED or -ENOMEM. */
int policy_read(int family, struct policy *ret, struct refusal *refusal);
void policy_deinit(struct policy *policy);

/* policy_is_plain() - no rules but those that every host has: then there is nothing to find out */
bool policy_is_plain(const struct policy *policy);

/*
 * policy_spares_host() - do the rules keep a route from the packets that this host sends?
 *
 * They do if rules lead to its table, but only for packets that come by a device or have a mark, for instance.
 */
bool policy_spares_host(const struct policy *policy, const struct route_entry *entry);

struct policy_packet {
	int family;
	const uint8_t *destination, *source; /* `source` NULL: not known */
	uint8_t protocol;
	uint16_t port, source_port; /* `source_port` is known if `source` is */
	uint32_t device;	    /* 0: not known */
	uint32_t mark;
	bool has_mark; /* it is known */
};

/* What a packet meets, depending on the rules that may fit it */
struct policy_outcome {
	/* the first rule with which it is local, and the first with which it is not; NULL: none */
	const struct policy_rule *local, *not_local;
	/* of two outcomes, that of the rule that may fit */
	const struct policy_rule *open;
	uint32_t vrf; /* device of the VRF with which `open` fits; 0: none */
};

/* policy_decide() - Return: 0, REFUSED (the VRFs cannot be listed), or -ENOMEM */
int policy_decide(const struct policy *policy, const struct routing *routing,
	const struct policy_packet *packet, struct policy_outcome *ret, struct refusal *refusal);

/* policy_rule_format() - "100: from all fwmark 0x1 lookup 100", as ip(8) shows it */
const char *policy_rule_format(const struct policy_rule *rule, char text[static POLICY_RULE_TEXT_MAX]);
