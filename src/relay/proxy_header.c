/* SPDX-License-Identifier: BSD-3-Clause */

/* https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt */
#include "proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "../util/text.h"

#define V1_MAX 107U
#define V2_START 16U
#define V2_LOCAL 0x20
#define V2_PROXY 0x21
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_UDP4 0x12
#define V2_UDP6 0x22

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* ---- writing */

static size_t write_v1(const struct proxy_pair *pair, char *text)
{
	char client[INET6_ADDRSTRLEN], server[INET6_ADDRSTRLEN];

	if (!pair)
		return (size_t)snprintf(text, PROXY_HEADER_WRITTEN_MAX, "PROXY UNKNOWN\r\n");
	(void)inet_ntop(pair->client.family, pair->client.address, client, sizeof(client));
	(void)inet_ntop(pair->client.family, pair->server.address, server, sizeof(server));
	return (size_t)snprintf(text, PROXY_HEADER_WRITTEN_MAX, "PROXY TCP%c %s %s %u %u\r\n",
		pair->client.family == AF_INET ? '4' : '6', client, server, pair->client.port,
		pair->server.port);
}

static char *put(char *end, const void *bytes, size_t size)
{
	memcpy(end, bytes, size);
	return end + size;
}

static size_t write_v2(const struct proxy_pair *pair, int kind4, int kind6, char *text)
{
	size_t size = !pair ? 0 : pair->client.family == AF_INET ? 4 : 16;
	const uint16_t length = htons((uint16_t)(pair ? 2 * size + 4 : 0));
	uint16_t ports[2];
	char *end = put(text, signature, sizeof(signature));

	*end++ = pair ? V2_PROXY : V2_LOCAL;
	*end++ = (char)(!pair ? 0 : pair->client.family == AF_INET ? kind4 : kind6);
	end = put(end, &length, sizeof(length));
	if (pair) {
		ports[0] = htons(pair->client.port);
		ports[1] = htons(pair->server.port);
		end = put(end, pair->client.address, size);
		end = put(end, pair->server.address, size);
		end = put(end, ports, sizeof(ports));
	}
	return (size_t)(end - text);
}

size_t proxy_header_write(enum rule_send_proxy version, const struct proxy_pair *pair,
	char text[static PROXY_HEADER_WRITTEN_MAX])
{
	if (pair && pair->client.family != pair->server.family)
		pair = NULL;
	if (version == RULE_SEND_PROXY_NO)
		return 0;
	return version == RULE_SEND_PROXY_V1 ? write_v1(pair, text) : write_v2(pair, V2_TCP4, V2_TCP6, text);
}

size_t proxy_header_write_datagram(const struct proxy_pair *pair, char text[static PROXY_HEADER_WRITTEN_MAX])
{
	return write_v2(pair->client.family == pair->server.family ? pair : NULL, V2_UDP4, V2_UDP6, text);
}

/* ---- reading */

static bool read_endpoint(int family, const char *address, const char *port, struct endpoint *ret)
{
	unsigned long number;

	*ret = (struct endpoint){.family = family};
	if (!port || text_to_uint(port, UINT16_MAX, &number) || inet_pton(family, address, ret->address) != 1)
		return false;
	ret->port = (uint16_t)number;
	return true;
}

/* "PROXY TCP4 192.0.2.9 192.0.2.1 40000 80\r\n", or "PROXY UNKNOWN", after which the rest of the line says nothing */
static size_t read_v1(const char *text, size_t size, struct proxy_pair *ret, bool *ret_known)
{
	const char *end = memchr(text, '\n', size < V1_MAX ? size : V1_MAX);
	char line[V1_MAX + 1], *words[6] = {0}, *rest = line;
	int family;

	if (!end)
		return size < V1_MAX ? PROXY_HEADER_SHORT : PROXY_HEADER_BAD;
	if (end == text || end[-1] != '\r' || memchr(text, '\0', (size_t)(end - text)))
		return PROXY_HEADER_BAD;
	memcpy(line, text, (size_t)(end - text - 1));
	line[end - text - 1] = '\0';
	for (size_t i = 0; i < 6 && rest; i++)
		words[i] = strsep(&rest, " ");
	if (!words[1])
		return PROXY_HEADER_BAD;
	*ret_known = strcmp(words[1], "UNKNOWN") != 0;
	if (!*ret_known)
		return (size_t)(end - text) + 1;
	if (strcmp(words[1], "TCP4") != 0 && strcmp(words[1], "TCP6") != 0)
		return PROXY_HEADER_BAD;
	family = words[1][3] == '4' ? AF_INET : AF_INET6;
	if (rest || !words[5] || !read_endpoint(family, words[2], words[4], &ret->client) ||
		!read_endpoint(family, words[3], words[5], &ret->server))
		return PROXY_HEADER_BAD;
	return (size_t)(end - text) + 1;
}

static void read_pair(int family, const char *addresses, struct proxy_pair *ret)
{
	size_t size = family == AF_INET ? 4 : 16;
	uint16_t ports[2];

	*ret = (struct proxy_pair){.client.family = family, .server.family = family};
	memcpy(ret->client.address, addresses, size);
	memcpy(ret->server.address, addresses + size, size);
	memcpy(ports, addresses + 2 * size, sizeof(ports));
	ret->client.port = ntohs(ports[0]);
	ret->server.port = ntohs(ports[1]);
}

static size_t read_v2(const char *text, size_t size, struct proxy_pair *ret, bool *ret_known)
{
	uint16_t length;
	unsigned char command, kind;
	int family;

	if (size < V2_START)
		return PROXY_HEADER_SHORT;
	command = (unsigned char)text[12];
	kind = (unsigned char)text[13];
	memcpy(&length, text + 14, sizeof(length));
	length = ntohs(length);
	if ((command != V2_LOCAL && command != V2_PROXY) || V2_START + length > PROXY_HEADER_READ_MAX)
		return PROXY_HEADER_BAD;
	if (size < V2_START + (size_t)length)
		return PROXY_HEADER_SHORT;
	*ret_known = command == V2_PROXY && (kind == V2_TCP4 || kind == V2_TCP6);
	if (*ret_known) {
		family = kind == V2_TCP4 ? AF_INET : AF_INET6;
		if (length < (family == AF_INET ? 12 : 36))
			return PROXY_HEADER_BAD;
		read_pair(family, text + V2_START, ret);
	}
	return V2_START + (size_t)length;
}

static bool begins(const char *text, size_t size, const char *start, size_t start_size)
{
	return !memcmp(text, start, size < start_size ? size : start_size);
}

size_t proxy_header_read(const char *text, size_t size, struct proxy_pair *ret, bool *ret_known)
{
	if (begins(text, size, signature, sizeof(signature)))
		return read_v2(text, size, ret, ret_known);
	if (!begins(text, size, "PROXY ", 6))
		return PROXY_HEADER_BAD;
	return size < 6 ? PROXY_HEADER_SHORT : read_v1(text, size, ret, ret_known);
}
