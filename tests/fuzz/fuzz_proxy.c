/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The PROXY header at the beginning of a connection
 *
 * A header that was read is no longer than what came; a beginning of it is not refused, but wants more. What is written
 * for its addresses reads as the same addresses.
 */

#include <stdlib.h>
#include <string.h>

#include "relay/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
	       !memcmp(a->address, b->address, sizeof(a->address));
}

static void write_again(enum rule_send_proxy version, const struct proxy_pair *pair)
{
	char text[PROXY_HEADER_WRITTEN_MAX];
	size_t size = proxy_header_write(version, pair, text);
	struct proxy_pair again;
	bool known = false;

	if (proxy_header_read(text, size, &again, &known) != size || !known ||
		!is_same(&again.client, &pair->client) || !is_same(&again.server, &pair->server))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_pair pair, ignored;
	char *text = malloc(size ? size : 1); /* of its size, so that a byte too many shows */
	bool known = false, other;
	size_t n;

	if (!text)
		return 0;
	memcpy(text, data, size);
	n = proxy_header_read(text, size, &pair, &known);
	if (n > PROXY_HEADER_BAD) {
		if (n > size)
			abort();
		for (size_t part = 0; part < n; part++)
			if (proxy_header_read(text, part, &ignored, &other) != PROXY_HEADER_SHORT)
				abort();
		if (known) {
			write_again(RULE_SEND_PROXY_V1, &pair);
			write_again(RULE_SEND_PROXY_V2, &pair);
		}
	}
	free(text);
	return 0;
}
