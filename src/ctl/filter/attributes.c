/* SPDX-License-Identifier: BSD-3-Clause */
#include "attributes.h"

#include <arpa/inet.h>
#include <endian.h>
#include <limits.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

void attributes_read(const void *payload, size_t size, struct attributes *ret)
{
	const struct nlattr *attribute = payload;
	int left = size > INT_MAX ? 0 : (int)size;

	*ret = (struct attributes){};
	while (mnl_attr_ok(attribute, left)) {
		uint16_t type = mnl_attr_get_type(attribute);

		if (type < ATTRIBUTES_MAX)
			ret->items[type] = attribute;
		left -= (int)MNL_ALIGN(attribute->nla_len);
		attribute = mnl_attr_next(attribute);
	}
}

void attributes_read_nested(const struct nlattr *nest, struct attributes *ret)
{
	if (nest)
		attributes_read(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), ret);
	else
		*ret = (struct attributes){};
}

static const void *payload_of(const struct attributes *attributes, unsigned type, size_t size)
{
	const struct nlattr *attribute = attributes->items[type];

	return attribute && mnl_attr_get_payload_len(attribute) >= size ? mnl_attr_get_payload(attribute)
									: NULL;
}

uint32_t attributes_u32(const struct attributes *attributes, unsigned type, uint32_t otherwise)
{
	const void *payload = payload_of(attributes, type, sizeof(uint32_t));
	uint32_t number;

	if (!payload)
		return otherwise;
	memcpy(&number, payload, sizeof(number));
	return ntohl(number);
}

uint64_t attributes_u64(const struct attributes *attributes, unsigned type, uint64_t otherwise)
{
	const void *payload = payload_of(attributes, type, sizeof(uint64_t));
	uint64_t number;

	if (!payload)
		return otherwise;
	memcpy(&number, payload, sizeof(number));
	return be64toh(number);
}

const char *attributes_text(const struct attributes *attributes, unsigned type)
{
	const char *text = payload_of(attributes, type, 1);

	return text && memchr(text, '\0', mnl_attr_get_payload_len(attributes->items[type])) ? text : "";
}

size_t attributes_data(const struct attributes *attributes, unsigned type, const uint8_t **ret)
{
	struct attributes data;

	attributes_read_nested(attributes->items[type], &data);
	if (!data.items[NFTA_DATA_VALUE])
		return 0;
	*ret = mnl_attr_get_payload(data.items[NFTA_DATA_VALUE]);
	return mnl_attr_get_payload_len(data.items[NFTA_DATA_VALUE]);
}
