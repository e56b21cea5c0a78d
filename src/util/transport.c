/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "macro.h"

static const struct {
	uint8_t protocol;
	const char *word, *name;
} protocols[] = {{IPPROTO_TCP, "tcp", "TCP"}, {IPPROTO_UDP, "udp", "UDP"}};

static const struct {
	int family;
	const char *word, *name;
} families[] = {{AF_INET, "ipv4", "IPv4"}, {AF_INET6, "ipv6", "IPv6"}};

const char *protocol_word(int protocol)
{
	return protocols[protocol == IPPROTO_UDP].word;
}

const char *protocol_name(int protocol)
{
	return protocols[protocol == IPPROTO_UDP].name;
}

bool protocol_from_word(const char *word, uint8_t *ret)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(protocols); i++)
		if (strcmp(protocols[i].word, word) == 0) {
			*ret = protocols[i].protocol;
			return true;
		}
	return false;
}

const char *family_word(int family)
{
	return families[family == AF_INET6].word;
}

const char *family_name(int family)
{
	return families[family == AF_INET6].name;
}

bool family_from_word(const char *word, int *ret)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(families); i++)
		if (strcmp(families[i].word, word) == 0) {
			*ret = families[i].family;
			return true;
		}
	return false;
}

const char *transport_name(int protocol, int family)
{
	static const char *const names[2][2] = {
		{"TCP over IPv4", "TCP over IPv6"}, {"UDP over IPv4", "UDP over IPv6"}};

	return names[protocol == IPPROTO_UDP][family == AF_INET6];
}
