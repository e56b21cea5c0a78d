/* SPDX-License-Identifier: BSD-3-Clause */
#include "extension.h"

#include <linux/netfilter/nf_tables_compat.h>
#include <stdio.h>
#include <string.h>

void extension_read(const struct attributes *attributes, struct extension *ret)
{
	const struct nlattr *info = attributes->items[NFTA_MATCH_INFO];

	*ret = (struct extension){
		.name = attributes_text(attributes, NFTA_MATCH_NAME),
		.revision = attributes_u32(attributes, NFTA_MATCH_REV, 0),
		.info = info ? mnl_attr_get_payload(info) : NULL,
		.size = info ? mnl_attr_get_payload_len(info) : 0,
	};
}

bool extension_copy(const struct extension *extension, uint32_t revision, void *info, size_t size)
{
	if (extension->revision != revision || extension->size < size)
		return false;
	memcpy(info, extension->info, size);
	return true;
}

bool extension_evaluate(const struct extension *extension, const struct known_extension *known, size_t n,
	const char *kind, struct evaluation *evaluation)
{
	char what[64];

	for (size_t i = 0; i < n; i++)
		if (!strcmp(known[i].name, extension->name) && known[i].function(evaluation, extension))
			return true;
	(void)snprintf(what, sizeof(what), "the %s '%.40s'", kind, extension->name);
	evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, what);
	return false;
}
