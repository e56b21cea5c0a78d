/* SPDX-License-Identifier: BSD-3-Clause */
#include "ruleset.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/errno_name.h"
#include "../host/netlink.h"
#include "attributes.h"
#include "elements.h"

static void chain_deinit(struct ruleset_chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++)
		free(chain->rules[i].expressions);
	for (size_t i = 0; chain->devices && chain->devices[i]; i++)
		free(chain->devices[i]);
	free(chain->devices);
	free(chain->rules);
	free(chain->table);
	free(chain->name);
}

static void set_deinit(struct ruleset_set *set)
{
	elements_deinit(set);
	free(set->table);
	free(set->name);
}

void ruleset_deinit(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->n_chains; i++)
		chain_deinit(&ruleset->chains[i]);
	for (size_t i = 0; i < ruleset->n_sets; i++)
		set_deinit(&ruleset->sets[i]);
	free(ruleset->chains);
	free(ruleset->sets);
	*ruleset = RULESET_NULL;
}

const char *ruleset_family(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return "arp";
	}
}

/* ---- messages: 0 or a negative errno that the caller puts into errno */

static int fail(int error)
{
	errno = error;
	return MNL_CB_ERROR;
}

static bool read_header(const struct nlmsghdr *header, uint8_t *ret_family, struct attributes *ret)
{
	const struct nfgenmsg *message = mnl_nlmsg_get_payload(header);

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
		return false;
	*ret_family = message->nfgen_family;
	attributes_read(message + 1, mnl_nlmsg_get_payload_len(header) - sizeof(*message), ret);
	return true;
}

/* ---- chains, and the tables that are dormant */

static int count_devices(const struct attributes *hook)
{
	const struct nlattr *device;
	int n = 0;

	if (!hook->items[NFTA_HOOK_DEVS])
		return hook->items[NFTA_HOOK_DEV] ? 1 : 0;
	mnl_attr_for_each_nested (device, hook->items[NFTA_HOOK_DEVS])
		n++;
	return n;
}

static int copy_devices(const struct attributes *hook, struct ruleset_chain *chain)
{
	int n = count_devices(hook), at = 0;
	const struct nlattr *device;

	if (!n)
		return 0;
	chain->devices = calloc((size_t)n + 1, sizeof(*chain->devices));
	if (!chain->devices)
		return -ENOMEM;
	if (!hook->items[NFTA_HOOK_DEVS]) {
		chain->devices[0] = strdup(attributes_text(hook, NFTA_HOOK_DEV));
		return chain->devices[0] ? 0 : -ENOMEM;
	}
	mnl_attr_for_each_nested (device, hook->items[NFTA_HOOK_DEVS]) {
		size_t size = mnl_attr_get_payload_len(device);
		char *name = calloc(size + 1, 1); /* strndup(3) is checked as if it read on to the end of the text */

		if (!name)
			return -ENOMEM;
		memcpy(name, mnl_attr_get_payload(device), size);
		chain->devices[at++] = name;
	}
	return 0;
}

static int add_chain(const struct nlmsghdr *header, void *userdata)
{
	struct ruleset *ruleset = userdata;
	struct attributes attributes, hook;
	struct ruleset_chain *chain;
	uint8_t family;

	if (!read_header(header, &family, &attributes))
		return fail(EBADMSG);
	if (ARRAY_RESERVE(ruleset->chains, ruleset->n_chains) < 0)
		return fail(ENOMEM);
	attributes_read_nested(attributes.items[NFTA_CHAIN_HOOK], &hook);
	chain = &ruleset->chains[ruleset->n_chains++];
	*chain = (struct ruleset_chain){
		.family = family,
		.table = strdup(attributes_text(&attributes, NFTA_CHAIN_TABLE)),
		.name = strdup(attributes_text(&attributes, NFTA_CHAIN_NAME)),
		.base = attributes.items[NFTA_CHAIN_HOOK],
		.hook = attributes_u32(&hook, NFTA_HOOK_HOOKNUM, UINT32_MAX),
		.priority = (int32_t)attributes_u32(&hook, NFTA_HOOK_PRIORITY, 0),
		.drops = attributes_u32(&attributes, NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP,
		.nat = strcmp(attributes_text(&attributes, NFTA_CHAIN_TYPE), "nat") == 0,
	};
	chain->ingress = family == NFPROTO_NETDEV ? chain->hook == NF_NETDEV_INGRESS
						  : family == NFPROTO_INET && chain->hook == NF_INET_INGRESS;
	if (!chain->table || !chain->name || copy_devices(&hook, chain) < 0)
		return fail(ENOMEM);
	return MNL_CB_OK;
}

static void forget_chains(void *userdata)
{
	struct ruleset *ruleset = userdata;

	while (ruleset->n_chains)
		chain_deinit(&ruleset->chains[--ruleset->n_chains]);
}

/* A dormant table keeps its chains, and none of them is called. */
static int note_table(const struct nlmsghdr *header, void *userdata)
{
	struct ruleset *ruleset = userdata;
	struct attributes attributes;
	uint8_t family;

	if (!read_header(header, &family, &attributes))
		return fail(EBADMSG);
	if (!(attributes_u32(&attributes, NFTA_TABLE_FLAGS, 0) & NFT_TABLE_F_DORMANT))
		return MNL_CB_OK;
	for (size_t i = 0; i < ruleset->n_chains; i++)
		if (ruleset->chains[i].family == family &&
			!strcmp(ruleset->chains[i].table, attributes_text(&attributes, NFTA_TABLE_NAME)))
			ruleset->chains[i].dormant = true;
	return MNL_CB_OK;
}

static int note_flow_table(const struct nlmsghdr *header, void *userdata)
{
	(void)header;
	((struct ruleset *)userdata)->flows = true;
	return MNL_CB_OK;
}

/* ---- rules */

const struct ruleset_chain *ruleset_chain(
	const struct ruleset *ruleset, uint8_t family, const char *table, const char *name)
{
	for (size_t i = 0; i < ruleset->n_chains; i++) {
		const struct ruleset_chain *chain = &ruleset->chains[i];

		if (chain->family == family && !strcmp(chain->name, name) && !strcmp(chain->table, table))
			return chain;
	}
	return NULL;
}

static int add_rule(const struct nlmsghdr *header, void *userdata)
{
	struct ruleset *ruleset = userdata;
	struct attributes attributes;
	struct ruleset_chain *chain;
	struct ruleset_rule *rule;
	const struct nlattr *expressions;
	uint8_t family;

	if (!read_header(header, &family, &attributes))
		return fail(EBADMSG);
	chain = (struct ruleset_chain *)ruleset_chain(ruleset, family,
		attributes_text(&attributes, NFTA_RULE_TABLE), attributes_text(&attributes, NFTA_RULE_CHAIN));
	if (!chain) /* it came after the chains were listed */
		return MNL_CB_OK;
	if (ARRAY_RESERVE(chain->rules, chain->n_rules) < 0)
		return fail(ENOMEM);
	rule = &chain->rules[chain->n_rules];
	*rule = (struct ruleset_rule){.handle = attributes_u64(&attributes, NFTA_RULE_HANDLE, 0)};
	expressions = attributes.items[NFTA_RULE_EXPRESSIONS];
	if (expressions && mnl_attr_get_payload_len(expressions)) {
		rule->size = mnl_attr_get_payload_len(expressions);
		rule->expressions = malloc(rule->size);
		if (!rule->expressions)
			return fail(ENOMEM);
		memcpy(rule->expressions, mnl_attr_get_payload(expressions), rule->size);
	}
	chain->n_rules++;
	return MNL_CB_OK;
}

static void forget_rules(void *userdata)
{
	struct ruleset *ruleset = userdata;

	for (size_t i = 0; i < ruleset->n_chains; i++) {
		struct ruleset_chain *chain = &ruleset->chains[i];

		while (chain->n_rules)
			free(chain->rules[--chain->n_rules].expressions);
	}
}

/* ---- sets */

static void read_fields(const struct attributes *attributes, struct ruleset_set *set)
{
	struct attributes description, field;
	const struct nlattr *item;

	attributes_read_nested(attributes->items[NFTA_SET_DESC], &description);
	if (description.items[NFTA_SET_DESC_CONCAT])
		mnl_attr_for_each_nested (item, description.items[NFTA_SET_DESC_CONCAT]) {
			attributes_read_nested(item, &field);
			if (set->n_fields < RULESET_FIELDS_MAX)
				set->fields[set->n_fields++] = attributes_u32(&field, NFTA_SET_FIELD_LEN, 0);
		}
	if (!set->n_fields)
		set->fields[set->n_fields++] = set->key_size;
}

static int add_set(const struct nlmsghdr *header, void *userdata)
{
	struct ruleset *ruleset = userdata;
	struct attributes attributes;
	struct ruleset_set *set;
	uint8_t family;

	if (!read_header(header, &family, &attributes))
		return fail(EBADMSG);
	if (ARRAY_RESERVE(ruleset->sets, ruleset->n_sets) < 0)
		return fail(ENOMEM);
	set = &ruleset->sets[ruleset->n_sets++];
	*set = (struct ruleset_set){
		.family = family,
		.table = strdup(attributes_text(&attributes, NFTA_SET_TABLE)),
		.name = strdup(attributes_text(&attributes, NFTA_SET_NAME)),
		.flags = attributes_u32(&attributes, NFTA_SET_FLAGS, 0),
		.key_size = attributes_u32(&attributes, NFTA_SET_KEY_LEN, 0),
	};
	if (!set->table || !set->name)
		return fail(ENOMEM);
	if (set->key_size > RULESET_VALUE_MAX)
		return fail(EBADMSG);
	read_fields(&attributes, set);
	return MNL_CB_OK;
}

static void forget_sets(void *userdata)
{
	struct ruleset *ruleset = userdata;

	while (ruleset->n_sets)
		set_deinit(&ruleset->sets[--ruleset->n_sets]);
}

const struct ruleset_set *ruleset_set(
	struct ruleset *ruleset, uint8_t family, const char *table, const char *name)
{
	for (size_t i = 0; i < ruleset->n_sets; i++) {
		struct ruleset_set *set = &ruleset->sets[i];

		if (set->family != family || strcmp(set->name, name) != 0 || strcmp(set->table, table) != 0)
			continue;
		if (!set->is_read && elements_read(set) < 0)
			return NULL;
		return set;
	}
	return NULL;
}

/* ---- the whole */

static int list(uint8_t what, mnl_cb_t function, void (*reset)(void *userdata), struct ruleset *ruleset)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *message;

	header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | what;
	header->nlmsg_flags = NLM_F_DUMP;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->nfgen_family = NFPROTO_UNSPEC;
	message->version = NFNETLINK_V0;
	return netlink_ask(NETLINK_NETFILTER, header, function, reset, ruleset);
}

int ruleset_read(struct ruleset *ret, struct refusal *refusal)
{
	int r;

	*ret = RULESET_NULL;
	r = list(NFT_MSG_GETCHAIN, add_chain, forget_chains, ret);
	/* a kernel without netfilter, or without nf_tables */
	if (r == -EPROTONOSUPPORT || r == -EINVAL || r == -EOPNOTSUPP)
		return 0;
	if (!r && ret->n_chains)
		r = list(NFT_MSG_GETTABLE, note_table, NULL, ret);
	if (!r && ret->n_chains)
		r = list(NFT_MSG_GETRULE, add_rule, forget_rules, ret);
	if (!r && ret->n_chains)
		r = list(NFT_MSG_GETSET, add_set, forget_sets, ret);
	if (!r && ret->n_chains)
		(void)list(NFT_MSG_GETFLOWTABLE, note_flow_table, NULL, ret);
	if (!r || r == -ENOMEM)
		return r;
	if (r == -EPERM || r == -EACCES)
		return refuse(refusal, -r, "only root may read the packet filters");
	return refuse(refusal, -r, "the packet filters cannot be read (%s)", errno_name(-r));
}
