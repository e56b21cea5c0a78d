/* SPDX-License-Identifier: BSD-3-Clause */
#include "elements.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../host/netlink.h"
#include "attributes.h"

void elements_deinit(struct ruleset_set *set)
{
	for (size_t i = 0; i < set->n_elements; i++)
		free(set->elements[i].verdict);
	free(set->elements);
	set->elements = NULL;
	set->n_elements = 0;
}

int elements_read_verdict(const struct nlattr *data, struct ruleset_verdict *ret)
{
	struct attributes attributes, verdict;

	attributes_read_nested(data, &attributes);
	if (!attributes.items[NFTA_DATA_VERDICT])
		return false;
	attributes_read_nested(attributes.items[NFTA_DATA_VERDICT], &verdict);
	ret->code = (int)attributes_u32(&verdict, NFTA_VERDICT_CODE, (uint32_t)NFT_CONTINUE);
	(void)snprintf(ret->chain, sizeof(ret->chain), "%s", attributes_text(&verdict, NFTA_VERDICT_CHAIN));
	return true;
}

static bool copy_key(const struct ruleset_set *set, const struct attributes *attributes, unsigned type,
	uint8_t key[static RULESET_VALUE_MAX])
{
	const uint8_t *data;
	size_t size = attributes_data(attributes, type, &data);

	if (!size || size > RULESET_VALUE_MAX || size < set->key_size)
		return false;
	memcpy(key, data, size);
	return true;
}

/* Counters do not decide whether an element fits; anything else may. */
static bool is_limit(const struct nlattr *expression)
{
	struct attributes attributes;
	const char *name;

	attributes_read_nested(expression, &attributes);
	name = attributes_text(&attributes, NFTA_EXPR_NAME);
	return strcmp(name, "counter") != 0 && strcmp(name, "last") != 0;
}

static bool is_limited(const struct attributes *attributes)
{
	const struct nlattr *list = attributes->items[NFTA_SET_ELEM_EXPRESSIONS], *item;

	if (attributes->items[NFTA_SET_ELEM_EXPR] && is_limit(attributes->items[NFTA_SET_ELEM_EXPR]))
		return true;
	if (list)
		mnl_attr_for_each_nested (item, list)
			if (is_limit(item))
				return true;
	return false;
}

static int read_data(const struct attributes *attributes, struct ruleset_element *element)
{
	struct ruleset_verdict verdict;
	const uint8_t *data;
	size_t size = attributes_data(attributes, NFTA_SET_ELEM_DATA, &data);

	if (size && size <= sizeof(element->data)) {
		memcpy(element->data, data, size);
		element->data_size = size;
	}
	if (!elements_read_verdict(attributes->items[NFTA_SET_ELEM_DATA], &verdict))
		return 0;
	element->verdict = malloc(sizeof(verdict));
	if (!element->verdict)
		return -ENOMEM;
	*element->verdict = verdict;
	return 0;
}

static int add_element(struct ruleset_set *set, const struct nlattr *item)
{
	struct ruleset_element *element;
	struct attributes attributes;
	uint32_t flags;

	if (ARRAY_RESERVE(set->elements, set->n_elements) < 0)
		return -ENOMEM;
	element = &set->elements[set->n_elements];
	attributes_read_nested(item, &attributes);
	flags = attributes_u32(&attributes, NFTA_SET_ELEM_FLAGS, 0);
	*element = (struct ruleset_element){.ends = flags & NFT_SET_ELEM_INTERVAL_END,
		.any = flags & NFT_SET_ELEM_CATCHALL,
		.limited = is_limited(&attributes)};
	if (!element->any && !copy_key(set, &attributes, NFTA_SET_ELEM_KEY, element->first))
		return -EBADMSG;
	if (!copy_key(set, &attributes, NFTA_SET_ELEM_KEY_END, element->last))
		memcpy(element->last, element->first, sizeof(element->last));
	set->n_elements++;
	return read_data(&attributes, element);
}

static int add_elements(const struct nlmsghdr *header, void *userdata)
{
	size_t size = mnl_nlmsg_get_payload_len(header);
	struct ruleset_set *set = userdata;
	struct attributes attributes;
	const struct nlattr *item;
	int r = 0;

	if (size < sizeof(struct nfgenmsg)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	attributes_read((const uint8_t *)mnl_nlmsg_get_payload(header) + sizeof(struct nfgenmsg),
		size - sizeof(struct nfgenmsg), &attributes);
	if (attributes.items[NFTA_SET_ELEM_LIST_ELEMENTS])
		mnl_attr_for_each_nested (item, attributes.items[NFTA_SET_ELEM_LIST_ELEMENTS]) {
			r = r ? r : add_element(set, item);
		}
	errno = -r;
	return r ? MNL_CB_ERROR : MNL_CB_OK;
}

static void forget(void *userdata)
{
	elements_deinit(userdata);
}

/* ---- intervals: the kernel lists where each begins and where it ends */

static int compare(const void *a, const void *b)
{
	const struct ruleset_element *x = a, *y = b;
	int order = memcmp(x->first, y->first, sizeof(x->first));

	return order ? order : y->ends - x->ends;
}

static void decrement(uint8_t *key, size_t size)
{
	while (size && !key[--size]--)
		;
}

static void join_intervals(struct ruleset_set *set)
{
	size_t n = 0;

	if (set->n_elements)
		qsort(set->elements, set->n_elements, sizeof(*set->elements), compare);
	for (size_t i = 0; i < set->n_elements; i++) {
		struct ruleset_element element = set->elements[i];

		if (element.ends) {
			free(element.verdict);
			continue;
		}
		/* the element for anything else has no key */
		if (!element.any && i + 1 < set->n_elements) {
			memcpy(element.last, set->elements[i + 1].first, sizeof(element.last));
			decrement(element.last, set->key_size);
		} else if (!element.any) {
			memset(element.last, 0xff, set->key_size);
		}
		set->elements[n++] = element;
	}
	set->n_elements = n;
}

int elements_read(struct ruleset_set *set)
{
	_Alignas(struct nlmsghdr) char buffer[1024] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *message;
	int r;

	header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM;
	header->nlmsg_flags = NLM_F_DUMP;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->nfgen_family = set->family;
	message->version = NFNETLINK_V0;
	if (!mnl_attr_put_strz_check(header, sizeof(buffer), NFTA_SET_ELEM_LIST_TABLE, set->table) ||
		!mnl_attr_put_strz_check(header, sizeof(buffer), NFTA_SET_ELEM_LIST_SET, set->name))
		return -ENAMETOOLONG;
	r = netlink_ask(NETLINK_NETFILTER, header, add_elements, forget, set);
	if (r < 0) {
		elements_deinit(set);
		return r;
	}
	if ((set->flags & NFT_SET_INTERVAL) && set->n_fields == 1)
		join_intervals(set);
	set->is_read = true;
	return 0;
}
