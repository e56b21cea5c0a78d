/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A datagram from sock_diag
 *
 * The first byte selects the request, the rest is the datagram. Whatever it is, all listed sockets match the request,
 * and errors are in the range of strerror(3).
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scan/diag_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ASK_UDP = 1,
	ASK_IPV6 = 2,
	ASK_PORTS = 4,
};

static void check(const struct diag_query *query, const struct diag_socket *socket)
{
	const uint8_t *address;

	assert(socket->protocol == query->protocol && socket->family == query->family);
	assert(socket->port);
	assert(!query->n_ports || socket->port == query->ports[0] || socket->port == query->ports[1]);
	assert(query->protocol == IPPROTO_TCP || !socket->queue_max);
	(void)diag_address(socket, &address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {53, 5001};
	struct diag_query query = {.sequence = 1, .portid = 1, .ports = ports};
	struct diag_list list = {.n = 0};
	char *datagram;
	int r;

	if (!size)
		return 0;
	query.protocol = data[0] & ASK_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	query.family = data[0] & ASK_IPV6 ? AF_INET6 : AF_INET;
	query.n_ports = data[0] & ASK_PORTS ? 2 : 0;
	size--;
	datagram =
		malloc(size ? size : 1); /* of the exact size, so that the sanitizer sees reads beyond it */
	assert(datagram);
	memcpy(datagram, data + 1, size);
	r = diag_reply_read(&query, datagram, size, &list);
	assert(r >= -4095 && r <= DIAG_INTERRUPTED);
	for (size_t i = 0; i < list.n; i++)
		check(&query, &list.items[i]);
	free(list.items);
	free(datagram);
	return 0;
}
