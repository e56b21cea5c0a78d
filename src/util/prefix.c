/* SPDX-License-Identifier: BSD-3-Clause */
#include "prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "text.h"

/* @length: 0 to 128 */
static void mask(uint8_t *address, unsigned length)
{
	unsigned whole = length / 8;

	if (whole == 16)
		return;
	address[whole] &= (uint8_t)(0xff00U >> length % 8);
	memset(address + whole + 1, 0, 15 - whole);
}

int prefix_parse(const char *text, struct prefix *ret, struct refusal *refusal)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct prefix prefix = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	const char *slash = strchrnul(text, '/');
	size_t size = (size_t)(slash - text);
	unsigned long length = address_bits(prefix.family);
	char address[INET6_ADDRSTRLEN] = "";
	uint8_t masked[16];
	int r;

	if (size < sizeof(address))
		memcpy(address, text, size);
	if (inet_pton(prefix.family, address, prefix.address) != 1)
		return refuse(refusal, EINVAL, "'%s' is not an IP address or prefix", text);
	if (*slash) {
		r = text_to_uint(slash + 1, length, &length);
		if (r < 0)
			return refuse(refusal, EINVAL, "'%s': the prefix length is not a number from 0 to %u",
				text, address_bits(prefix.family));
	}
	prefix.length = (uint8_t)length;
	if (prefix.family == AF_INET6 && length >= 96 &&
		!memcmp(prefix.address, v4_mapped, sizeof(v4_mapped)))
		return refuse(refusal, EINVAL, "'%s' is a v4-mapped prefix; write it as IPv4", text);
	memcpy(masked, prefix.address, sizeof(masked));
	mask(masked, prefix.length);
	if (memcmp(masked, prefix.address, sizeof(masked))) {
		char wanted[PREFIX_TEXT_MAX];

		memcpy(prefix.address, masked, sizeof(masked));
		return refuse(refusal, EINVAL, "'%s' has host bits set; did you mean %s?", text,
			prefix_format(&prefix, wanted));
	}
	*ret = prefix;
	return 0;
}

const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(prefix->family, prefix->address, address, sizeof(address));
	(void)snprintf(text, PREFIX_TEXT_MAX, "%s/%u", address, prefix->length);
	return text;
}

bool prefix_is_address(const struct prefix *prefix)
{
	return prefix->family != AF_UNSPEC && prefix->length == address_bits(prefix->family);
}

bool prefix_contains(const struct prefix *prefix, int family, const uint8_t *address)
{
	uint8_t masked[16] = {0};

	if (family != prefix->family)
		return false;
	memcpy(masked, address, address_size(family));
	mask(masked, prefix->length);
	return !memcmp(masked, prefix->address, sizeof(masked));
}
