/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The rule set of nf_tables in this network namespace, as the kernel lists it: nfnetlink(7), through libmnl
 *
 * That of iptables-nft is in it too. Reading takes CAP_NET_ADMIN.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/error.h"

#define RULESET_VALUE_MAX 64 /* NFT_DATA_VALUE_MAXLEN */

struct ruleset_rule {
	uint64_t handle;
	uint8_t *expressions; /* NFTA_RULE_EXPRESSIONS */
	size_t size;
};

struct ruleset_chain {
	uint8_t family; /* NFPROTO_* */
	char *table, *name;
	bool base, dormant;
	/* of a base chain */
	uint32_t hook; /* NF_INET_*, NF_NETDEV_* */
	int32_t priority;
	bool drops;	/* its policy */
	bool nat;	/* of type nat */
	bool ingress;	/* of a device */
	char **devices; /* of the hook ingress; NULL-terminated, or NULL */
	struct ruleset_rule *rules;
	size_t n_rules;
};

/* What a verdict of a rule, or of an element, is */
struct ruleset_verdict {
	int code; /* NF_*, NFT_* */
	char chain[256];
};

struct ruleset_element {
	uint8_t first[RULESET_VALUE_MAX], last[RULESET_VALUE_MAX]; /* of each field, both included */
	bool ends;    /* while it is read: the end of an interval, which does not belong to it */
	bool any;     /* the element for everything that no other fits */
	bool limited; /* whether it fits depends on a limit or a quota of its own */
	uint8_t data[RULESET_VALUE_MAX];
	size_t data_size;
	struct ruleset_verdict *verdict; /* NULL: none */
};

#define RULESET_FIELDS_MAX 16

struct ruleset_set {
	uint8_t family;
	char *table, *name;
	uint32_t flags; /* NFT_SET_* */
	size_t key_size;
	size_t fields
		[RULESET_FIELDS_MAX]; /* sizes of the fields of a key, in bytes; each begins at a multiple of 4 */
	size_t n_fields;
	struct ruleset_element *elements;
	size_t n_elements;
	bool is_read;
};

struct ruleset {
	struct ruleset_chain *chains;
	size_t n_chains;
	struct ruleset_set *sets;
	size_t n_sets;
	bool flows; /* a flow table takes packets of connections past the rules */
};

#define RULESET_NULL ((struct ruleset){})

/* ruleset_read() - of all families; @ret: to be released on any result. Return: 0, REFUSED or -ENOMEM. */
int ruleset_read(struct ruleset *ret, struct refusal *refusal);
void ruleset_deinit(struct ruleset *ruleset);

/* ruleset_chain() - Return: NULL if there is none */
const struct ruleset_chain *ruleset_chain(
	const struct ruleset *ruleset, uint8_t family, const char *table, const char *name);

/* ruleset_set() - with its elements, which are read when they are asked for. Return: NULL if there is none. */
const struct ruleset_set *ruleset_set(
	struct ruleset *ruleset, uint8_t family, const char *table, const char *name);

/* ruleset_family() - "inet", as nft(8) calls it */
const char *ruleset_family(uint8_t family);
