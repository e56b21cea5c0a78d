/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

size_t address_size(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

unsigned address_bits(int family)
{
	return family == AF_INET6 ? 128 : 32;
}

bool address_is_any(int family, const uint8_t *address)
{
	static const uint8_t any[16];

	return address_is_same(family, address, any);
}

bool address_is_multicast(int family, const uint8_t *address)
{
	return family == AF_INET6 ? address[0] == 0xff : (address[0] & 0xf0) == 0xe0;
}

bool address_is_same(int family, const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, address_size(family));
}

const char *address_format(int family, const uint8_t *address, char *text)
{
	*text = 0;
	(void)inet_ntop(family, address, text, INET6_ADDRSTRLEN);
	return text;
}

const char *endpoint_format(
	int family, const uint8_t *address, uint16_t port, char text[static ENDPOINT_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	(void)snprintf(text, ENDPOINT_TEXT_MAX, family == AF_INET6 ? "[%s]:%u" : "%s:%u",
		address_format(family, address, host), port);
	return text;
}
